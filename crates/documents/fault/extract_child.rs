//! The child that reads documents, as the tests start it.

fn main() -> std::process::ExitCode {
    kapelle_documents::child_main()
}

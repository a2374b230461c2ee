//! The helper that starts scripts, as the tests start it.

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    #[cfg(target_os = "linux")]
    if arguments.first().is_some_and(|verb| verb == kapelle_supervisor::helper_process::HELPER_VERB) {
        return kapelle_supervisor::helper_process::helper_main(&arguments[1..]);
    }
    drop(arguments);
    std::process::ExitCode::FAILURE
}

//! Finds the process that holds a port. Linux only, own processes only.

use std::{fs, net::SocketAddr, path::Path};

/// Returns the process that listens there, such as `kapelle (process 123)`.
#[must_use]
pub fn of(address: SocketAddr) -> Option<String> {
    let socket = format!("socket:[{}]", inode(address)?);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let own = processes.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()));
    own.map(|entry| entry.path()).find(|process| holds(process, &socket)).map(|process| {
        let id = process.file_name().map(|id| id.to_string_lossy().into_owned()).unwrap_or_default();
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
        format!("{name} (process {id})")
    })
}

fn holds(process: &Path, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == socket))
}

/// Returns the inode of the socket that listens on that port.
fn inode(address: SocketAddr) -> Option<String> {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| listening(line, address.port()))
    })
}

/// Returns the inode of a line such as `0: 0100007F:1EB7 00000000:0000 0A ... 12345 ...`, when it listens on that port.
fn listening(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local) = fields.get(1)?.rsplit_once(':')?;
    let listens = *fields.get(3)? == "0A" && u16::from_str_radix(local, 16).ok()? == port;
    listens.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_read() {
        let line =
            "   0: 0100007F:1EB7 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0";
        assert_eq!(listening(line, 7863).as_deref(), Some("4242"));
        assert_eq!(listening(line, 7864), None);
        assert_eq!(listening(&line.replace(" 0A ", " 01 "), 7863), None);
        assert_eq!(listening("", 1), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_found_where_it_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = of(listener.local_addr().unwrap()).unwrap();
        assert!(holder.contains(&format!("(process {})", std::process::id())), "{holder}");
    }
}

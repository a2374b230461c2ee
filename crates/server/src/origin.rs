//! Allowed hosts and origins. The check keeps a web page from using the browser of an authorised person, and a foreign
//! name from being rebound to this address.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use kapelle_api::code;

use crate::problem::Problem;

/// Names under which the server may be addressed.
#[derive(Debug, Clone, Default)]
pub struct Names {
    extra: Vec<String>,
}

impl Names {
    /// Makes the set of this machine's names and the given ones.
    pub fn new(extra: &[String]) -> Names {
        Names { extra: extra.iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Refuses a request for a foreign host, or from a foreign page.
    pub fn check(&self, method: &Method, headers: &HeaderMap, uri: &Uri, local: SocketAddr) -> Result<(), Problem> {
        let host = self.host(headers, uri)?;
        if !self.is_ours(&host, local) {
            let detail = format!(
                "this server is not `{}`: address it by its IP address, or start it with --host-name NAME",
                host.chars().take(100).collect::<String>()
            );
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, code::WRONG_HOST, detail));
        }
        let foreign = |what: &str| {
            let detail = format!("{what}: only pages of this server may use it from a browser");
            Err(Problem::new(StatusCode::FORBIDDEN, code::FORBIDDEN, detail))
        };
        let mut origins = headers.get_all(header::ORIGIN).iter();
        if let Some(origin) = origins.next() {
            let same = origin.to_str().ok().and_then(|origin| {
                let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?;
                Some(rest.eq_ignore_ascii_case(&host))
            });
            if same != Some(true) || origins.next().is_some() {
                return foreign("the request comes from a page of another origin");
            }
        }
        match headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            // A person who follows a link, for example from a mail read on the web. The page with the link does not see
            // the response, and a look changes nothing.
            Some(_) if method == Method::GET && is_followed_link(headers) => Ok(()),
            Some(_) => foreign("the request comes from a page of another site"),
        }
    }

    /// Returns the one host that the request names.
    fn host(&self, headers: &HeaderMap, uri: &Uri) -> Result<String, Problem> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let header = hosts.next().and_then(|host| host.to_str().ok());
        if hosts.next().is_some() {
            return Err(Problem::invalid("there is more than one Host header"));
        }
        let named = uri.authority().map(|authority| authority.as_str());
        match (header, named) {
            (Some(host), Some(named)) if !host.eq_ignore_ascii_case(named) => {
                Err(Problem::invalid("the Host header and the address of the request disagree"))
            }
            (Some(host), _) => Ok(host.to_ascii_lowercase()),
            _ => Err(Problem::invalid("there is no Host header")),
        }
    }

    fn is_ours(&self, host: &str, local: SocketAddr) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
            _ => host,
        };
        let plain = name.trim_start_matches('[').trim_end_matches(']');
        match plain.parse::<IpAddr>() {
            // A name can be rebound to any address, an address cannot.
            Ok(address) => address == local.ip() || (address.is_loopback() && local.ip().is_loopback()),
            Err(_) => (name == "localhost" && local.ip().is_loopback()) || self.extra.iter().any(|extra| extra == name),
        }
    }
}

/// Says whether the browser will show the response in a window of its own. The browser itself sets these headers; pages
/// cannot, and a frame or a script has another destination.
fn is_followed_link(headers: &HeaderMap) -> bool {
    let says = |name: &str, what: &[u8]| headers.get(name).is_some_and(|value| value.as_bytes() == what);
    says("sec-fetch-mode", b"navigate") && says("sec-fetch-dest", b"document")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, more: &[(&'static str, &str)]) -> u16 {
        ask(&Method::GET, host, more)
    }

    fn ask(method: &Method, host: &str, more: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert("host", host.parse().unwrap());
        for (name, value) in more {
            headers.append(*name, value.parse().unwrap());
        }
        let names = Names::new(&["Kapelle.example".to_owned()]);
        let local = "127.0.0.1:7863".parse().unwrap();
        names
            .check(method, &headers, &Uri::from_static("/x"), local)
            .map_or_else(|problem| problem.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_hosts_of_this_server_pass() {
        for host in ["127.0.0.1:7863", "localhost:7863", "LOCALHOST", "[::1]:7863", "kapelle.example"] {
            assert_eq!(check(host, &[]), 200, "{host}");
        }
        let foreign =
            ["evil.example", "127.0.0.1.evil.example:7863", "10.0.0.1", "0.0.0.0:7863", "localhost.", "", "["];
        for host in foreign {
            assert_eq!(check(host, &[]), 421, "{host}");
        }
        assert_eq!(check("localhost", &[("host", "evil.example")]), 400);
    }

    #[test]
    fn only_pages_of_this_server_pass() {
        assert_eq!(
            check("localhost:7863", &[("origin", "http://localhost:7863"), ("sec-fetch-site", "same-origin")]),
            200
        );
        for (name, value) in [
            ("origin", "http://localhost:3000"),
            ("origin", "null"),
            ("origin", "https://evil.example"),
            ("origin", "http://localhost:7863.evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(check("localhost:7863", &[(name, value)]), 403, "{name}: {value}");
        }
    }

    #[test]
    fn a_person_may_follow_a_link_from_anywhere() {
        let link = |site, mode, dest| [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
        let host = "localhost:7863";
        assert_eq!(check(host, &link("cross-site", "navigate", "document")), 200);
        assert_eq!(check(host, &link("cross-site", "navigate", "iframe")), 403);
        assert_eq!(check(host, &link("cross-site", "no-cors", "script")), 403);
        assert_eq!(ask(&Method::POST, host, &link("cross-site", "navigate", "document")), 403);
        let mut form = link("cross-site", "navigate", "document").to_vec();
        form.push(("origin", "https://evil.example"));
        assert_eq!(check(host, &form), 403);
        assert_eq!(check("evil.example", &link("cross-site", "navigate", "document")), 421);
    }
}

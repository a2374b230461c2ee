//! Hosts that a worker may reach: the owner's lists, and the check of every address before it is connected to.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use kapelle_workers::configured::Fault;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use serde_json::Value;

use crate::address::{is_private_service, is_public};

/// The reason why a host is not reached. The text is for the person who wrote the input or the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The hosts of one worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    public: Vec<Pattern>,
    private: Vec<Pattern>,
    /// Place of the lists, for messages.
    place: &'static str,
}

/// `any`, `example.com`, `*.example.com` or an address, with an optional port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    host: HostPattern,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Any,
    Below(String),
    Name(String),
    Address(IpAddr),
}

impl Pattern {
    fn parse(text: &str) -> Option<Pattern> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let name = host.trim_matches(['[', ']']).trim_end_matches('.').to_lowercase();
        let plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        };
        let host = match (name.strip_prefix("*."), name.parse::<IpAddr>()) {
            (_, Ok(address)) => HostPattern::Address(address.to_canonical()),
            (Some(below), _) if plain(below) => HostPattern::Below(format!(".{below}")),
            (None, _) if name == "any" => HostPattern::Any,
            (None, _) if plain(&name) => HostPattern::Name(name),
            _ => return None,
        };
        Some(Pattern { host, port })
    }

    fn fits(&self, host: &str, port: Option<u16>) -> bool {
        let named = match &self.host {
            HostPattern::Any => true,
            HostPattern::Below(ending) => host.ends_with(ending),
            HostPattern::Name(name) => host == name,
            HostPattern::Address(address) => host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == *address),
        };
        named && port.is_none_or(|port| self.port.map_or(matches!(port, 80 | 443), |own| own == port))
    }
}

impl Hosts {
    /// Reads `hosts:` and `private:` of the settings.
    pub(crate) fn read(settings: &Value, faults: &mut Vec<Fault>) -> Hosts {
        let mut list = |field: &str| {
            let mut patterns = Vec::new();
            for (at, text) in settings[field].as_array().into_iter().flatten().filter_map(Value::as_str).enumerate() {
                match Pattern::parse(text) {
                    Some(pattern) => patterns.push(pattern),
                    None => faults.push(Fault::of(
                        format!("{field}[{at}]"),
                        format!("`{text}` is not a host"),
                        "write a name such as api.example.com, `*.example.com`, an address, or name:port",
                    )),
                }
            }
            patterns
        };
        let hosts = Hosts { public: list("hosts"), private: list("private"), place: "the worker's file" };
        if hosts.private.iter().any(|pattern| matches!(pattern.host, HostPattern::Any)) {
            faults.push(Fault::of("private", "`any` would allow every private address", "name each host"));
        }
        hosts
    }

    /// Makes the rules for hosts that the owner names in full: each may be private.
    pub(crate) fn named(names: &[(String, u16)]) -> Hosts {
        let exact =
            |(name, port): &(String, u16)| Pattern::parse(name).map(|pattern| Pattern { port: Some(*port), ..pattern });
        Hosts { public: Vec::new(), private: names.iter().filter_map(exact).collect(), place: "the worker's file" }
    }

    /// Names another place of the lists.
    pub(crate) fn of(self, place: &'static str) -> Hosts {
        Hosts { place, ..self }
    }

    /// Tells whether more hosts than the named ones can be reached.
    pub(crate) fn is_open(&self) -> bool {
        self.public.iter().chain(&self.private).any(|p| matches!(p.host, HostPattern::Any | HostPattern::Below(_)))
    }

    /// Tells whether no host can be reached.
    pub(crate) fn is_empty(&self) -> bool {
        self.public.is_empty() && self.private.is_empty()
    }

    /// Checks the host and port of an address, and the address itself when it is a number.
    ///
    /// # Errors
    /// The reason why it is not allowed.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Refused> {
        let host = host_of(url);
        let port = url.port_or_known_default();
        let private = self.private.iter().any(|pattern| pattern.fits(&host, port));
        // The resolver does not know the port: a host that may be private is reached at its listed ports only.
        let elsewhere = !private && self.private.iter().any(|pattern| pattern.fits(&host, None));
        if elsewhere || !private && !self.public.iter().any(|pattern| pattern.fits(&host, port)) {
            let shown = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
            return Err(Refused(format!(
                "url: the host {shown} is not among `hosts` of {}; the owner adds it there",
                self.place
            )));
        }
        match host.parse::<IpAddr>() {
            Ok(address) => self.admit(&host, address),
            Err(_) => Ok(()),
        }
    }

    /// Tells whether a host is one that may be private.
    pub(crate) fn is_private(&self, url: &Url) -> bool {
        let host = host_of(url);
        self.private.iter().any(|pattern| pattern.fits(&host, url.port_or_known_default()))
    }

    /// Checks one address of a host.
    fn admit(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        let literal = |p: &Pattern| matches!(p.host, HostPattern::Address(_));
        let private = self.private.iter().any(|p| p.fits(host, None) && (literal(p) || is_private_service(address)));
        if is_public(address) || private {
            return Ok(());
        }
        Err(Refused(format!(
            "url: {host} is the address {address}, which is not public; the owner allows such a host by `private` in {}",
            self.place
        )))
    }

    /// Resolves a host once and returns its addresses when all of them are allowed.
    ///
    /// # Errors
    /// When the name is unknown, or one of its addresses is not allowed.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Refused> {
        let bare = host.trim_matches(['[', ']']);
        let found = tokio::net::lookup_host((bare, port)).await;
        let found = found.map_err(|error| Refused(format!("url: the host {bare} cannot be found: {error}")))?;
        let addresses: Vec<SocketAddr> = found.collect();
        addresses.iter().try_for_each(|address| self.admit(bare, address.ip()))?;
        if addresses.is_empty() {
            return Err(Refused(format!("url: the host {bare} has no address")));
        }
        Ok(addresses)
    }
}

/// Returns the host of an address without brackets and without the final dot, in lower case.
pub(crate) fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or("").trim_matches(['[', ']']).trim_end_matches('.').to_lowercase()
}

/// Resolver of an HTTP client, which connects only to addresses that were checked here. A name cannot change its address
/// between the check and the connection.
pub(crate) struct CheckedResolver(pub(crate) Arc<Hosts>);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str().trim_end_matches('.').to_lowercase();
            // The port of the address is set by the client.
            let addresses = hosts.resolve(&host, 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hosts(settings: Value) -> Hosts {
        let mut faults = Vec::new();
        let hosts = Hosts::read(&settings, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        hosts
    }

    fn check(hosts: &Hosts, url: &str) -> Result<(), Refused> {
        hosts.check(&Url::parse(url).unwrap())
    }

    #[test]
    fn every_form_of_a_private_address_is_refused_though_any_host_is_allowed() {
        let any = hosts(json!({ "hosts": ["any"] }));
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://0/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://10.0.0.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://[fd00:ec2::254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://100.100.100.200/",
            "http://[2002:7f00:1::]/",
            "http://192.168.0.1./",
            "http://[::]/",
        ] {
            let refused = check(&any, url).unwrap_err();
            assert!(refused.0.contains("is not public"), "{url}: {refused}");
        }
        assert_eq!(check(&any, "https://example.com/"), Ok(()));
        assert!(check(&any, "https://example.com:8443/").unwrap_err().0.contains("example.com:8443 is not among"));
    }

    #[test]
    fn names_ports_and_endings_are_matched_whole() {
        let some = hosts(json!({ "hosts": ["api.example.com", "*.example.org:8443"], "private": ["localhost:9"] }));
        for url in ["https://API.example.com./x", "http://api.example.com/", "https://a.b.example.org:8443/"] {
            assert_eq!(check(&some, url), Ok(()), "{url}");
        }
        for url in [
            "https://example.com/",
            "https://xapi.example.com/",
            "https://api.example.com.evil.net/",
            "https://example.org:8443/",
            "https://a.example.org/",
            "https://api.example.com:22/",
            "http://localhost/",
            "https://evilexample.org:8443/",
            "http://127.0.0.1:9/",
        ] {
            assert!(check(&some, url).is_err(), "{url}");
        }
        assert!(check(&some, "http://localhost:9/").is_ok());
        let both = hosts(json!({ "hosts": ["any"], "private": ["localhost:9", "127.0.0.1:9"] }));
        for url in ["http://localhost/", "http://127.0.0.1/"] {
            assert!(check(&both, url).is_err(), "{url}: another port of a private host");
        }
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_refused_when_it_is_resolved() {
        let any = hosts(json!({ "hosts": ["any"] }));
        assert!(any.resolve("localhost", 80).await.unwrap_err().0.contains("is not public"));
        let own = hosts(json!({ "private": ["localhost:80"] }));
        assert!(own.resolve("localhost", 80).await.is_ok());
        assert!(own.resolve("169.254.169.254", 80).await.is_err());
        // An allowed address is not allowed to other names: whoever owns a name can point it there.
        let address = hosts(json!({ "hosts": ["any"], "private": ["127.0.0.1:80"] }));
        assert!(address.resolve("localhost", 80).await.is_err());
    }

    #[test]
    fn wrong_patterns_are_faults() {
        for (settings, field) in [
            (json!({ "hosts": ["https://example.com"] }), "hosts[0]"),
            (json!({ "hosts": ["a", "b/c"] }), "hosts[1]"),
            (json!({ "hosts": ["a:99999"] }), "hosts[0]"),
            (json!({ "private": ["any"] }), "private"),
        ] {
            let mut faults = Vec::new();
            Hosts::read(&settings, &mut faults);
            assert_eq!(faults.first().map(|fault| fault.field.as_str()), Some(field), "{settings}");
        }
    }
}

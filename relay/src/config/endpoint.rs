//! A `ZeroMQ` endpoint to bind: `tcp://` and `ipc://`, as `ZeroMQ` writes them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `tcp://HOST:PORT`. No host is every address of this machine, port 0 any free one; both may be written `*`.
    Tcp { host: Option<String>, port: u16 },
    /// `ipc://PATH`: a Unix domain socket.
    Ipc(PathBuf),
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("{text:?} is not a ZeroMQ endpoint such as tcp://127.0.0.1:5555");
        if let Some(path) = text.strip_prefix("ipc://") {
            return match path.chars().next() {
                Some('@') => {
                    Err(format!("{text:?}: abstract sockets are not known here; ipc:// takes a path"))
                }
                Some(_) => Ok(Self::Ipc(path.into())),
                None => Err(unknown()),
            };
        }
        let (host, port) =
            text.strip_prefix("tcp://").and_then(|address| address.rsplit_once(':')).ok_or_else(unknown)?;
        let port = if port == "*" { 0 } else { port.parse().map_err(|_| unknown())? };
        match host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']')) {
            Some("*") => Ok(Self::Tcp { host: None, port }),
            Some(host) if !host.is_empty() => Ok(Self::Tcp { host: Some(host.to_owned()), port }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: None, port } => write!(f, "tcp://*:{port}"),
            // An IPv6 address has colons of its own.
            Self::Tcp { host: Some(host), port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host: Some(host), port } => write!(f, "tcp://{host}:{port}"),
            Self::Ipc(path) => write!(f, "ipc://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn endpoints_are_read_and_written() {
        for text in
            ["tcp://127.0.0.1:5555", "tcp://*:0", "tcp://[::1]:5555", "tcp://relay:1", "ipc:///run/bus"]
        {
            assert_eq!(text.parse::<Endpoint>().expect(text).to_string(), text);
        }
        assert_eq!("tcp://[*]:*".parse::<Endpoint>().expect("any").to_string(), "tcp://*:0");
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in
            ["", "5555", "tcp://5555", "tcp://:5555", "tcp://a:b", "tcp://a:65536", "tcp://[::1:5", "ipc://"]
        {
            assert!(text.parse::<Endpoint>().expect_err(text).contains("such as"), "{text}");
        }
        assert!("ipc://@bus".parse::<Endpoint>().expect_err("abstract").contains("abstract"));
    }
}

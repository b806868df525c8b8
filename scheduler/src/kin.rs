//! What workers have in common: the block of the address they come from, and the machine they say
//! that they run on, as digests that mean something to this farm only. Addresses that many
//! strangers may share, or that are of this very network, say nothing; nor does the farm's own
//! machine, where whoever runs it runs all.

use crate::secret;
use anyhow::Context;
use farm::digest::Digest;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The key under which blocks are digested, so that the public log gives no address away.
#[derive(Clone)]
pub struct Kin([u8; 32]);

impl std::fmt::Debug for Kin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Kin")
    }
}

impl Kin {
    /// Reads the key in the state directory, or makes one.
    pub fn open(state: &Path) -> anyhow::Result<Self> {
        let path = state.join("kin.key");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = [0; 32];
                getrandom::fill(&mut bytes)?;
                let text = Digest(bytes).to_string();
                secret::write(&path, &text).with_context(|| path.display().to_string())?;
                text
            }
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let key = Digest::parse(text.trim());
        let key = key.with_context(|| format!("{}: not 64 hexadecimal digits", path.display()))?;
        Ok(Self(key.0))
    }

    /// The groups of a worker that comes from this address and this machine, if it says which.
    pub fn groups(&self, address: Option<IpAddr>, machine: Option<[u8; 32]>) -> Vec<Digest> {
        let address = address.map(|address| address.to_canonical());
        let here = address.is_none_or(|address| address.is_loopback());
        let machine = machine.filter(|_| !here).map(|machine| machine.to_vec());
        let digest = |what: Vec<u8>| Digest(*blake3::keyed_hash(&self.0, &what).as_bytes());
        address.and_then(block).into_iter().chain(machine).map(digest).collect()
    }
}

/// The /24 or /48 of an address that is routed all over the world.
fn block(address: IpAddr) -> Option<Vec<u8>> {
    match address {
        IpAddr::V4(address) => is_public(address).then(|| address.octets()[..3].to_vec()),
        IpAddr::V6(address) => is_public_6(address).then(|| address.octets()[..6].to_vec()),
    }
}

fn is_public(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    // 100.64.0.0/10 is shared by an operator's customers (RFC 6598).
    let shared = first == 100 && second & 0xc0 == 64;
    let special = address.is_private() || address.is_loopback() || address.is_link_local();
    !(shared || special || address.is_documentation() || first == 0 || first >= 224)
}

fn is_public_6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000 && !(first == 0x2001 && second == 0xdb8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_kin_and_the_local_network_says_nothing() {
        let kin = Kin([7; 32]);
        let of = |text: &str| kin.groups(Some(text.parse().unwrap()), None);
        assert_eq!(of("1.2.3.4"), of("1.2.3.250"));
        assert_eq!(of("1.2.3.4"), of("::ffff:1.2.3.9"));
        assert_ne!(of("1.2.3.4"), of("1.2.4.4"));
        assert_eq!(of("2a00:1:2:3::1"), of("2a00:1:2:4::1"));
        assert_ne!(of("2a00:1:2::1"), of("2a00:1:3::1"));
        assert_ne!(of("1.2.3.4"), Kin([8; 32]).groups(Some("1.2.3.4".parse().unwrap()), None));
        let nothing = ["127.0.0.1", "10.1.2.3", "192.168.0.4", "100.64.0.1", "::1", "fe80::1"];
        assert!(nothing.iter().all(|text| of(text).is_empty()));
    }

    #[test]
    fn workers_of_one_machine_are_kin_wherever_they_come_from() {
        let kin = Kin([7; 32]);
        let of = |text: &str, machine| kin.groups(Some(text.parse().unwrap()), Some([machine; 32]));
        let common = |a: &[Digest], b: &[Digest]| a.iter().any(|group| b.contains(group));
        assert!(common(&of("1.2.3.4", 1), &of("5.6.7.8", 1)), "one machine, two addresses");
        assert!(common(&of("10.1.2.3", 1), &of("192.168.0.4", 1)));
        assert!(!common(&of("10.1.2.3", 1), &of("10.1.2.3", 2)));
        assert!(of("127.0.0.1", 1).is_empty(), "the farm's own machine");
    }

    #[test]
    fn the_key_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let address = Some("9.9.9.9".parse().unwrap());
        let first = Kin::open(dir.path()).unwrap().groups(address, None);
        assert_eq!(Kin::open(dir.path()).unwrap().groups(address, None), first);
    }
}

//! The bytes that workers sign: a fixed layout, so that a signature outlives any change of the
//! protobuf encoding. Each starts with its own words, so that none can pass for another.

use crate::v1;
use crate::v1::report::Outcome;

/// What a hello signs: this stream's nonce, the worker's key, the owner's account, and the key that
/// keys of leases are wrapped to.
pub fn hello_bytes(nonce: &[u8], key: &[u8], owner: u64, wrap_key: &[u8]) -> Vec<u8> {
    let mut bytes = b"girih.v1 hello".to_vec();
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&owner.to_le_bytes());
    bytes.extend_from_slice(wrap_key);
    bytes
}

/// What a batch of reports signs: this stream's nonce and the BLAKE3 digest of the reports, each
/// as lease, kind, fields in order; integers little-endian, lists and texts after their length.
pub fn reports_bytes(nonce: &[u8], reports: &[v1::Report]) -> Vec<u8> {
    let mut body = Vec::with_capacity(reports.len() * 96);
    for report in reports {
        body.extend_from_slice(&report.lease.to_le_bytes());
        match &report.outcome {
            None => body.push(0),
            Some(Outcome::Done(done)) => {
                body.push(1);
                counted(&mut body, &done.output);
                counted(&mut body, &done.root);
                body.extend_from_slice(&done.units.to_le_bytes());
            }
            Some(Outcome::Leaves(leaves)) => {
                body.push(2);
                body.extend_from_slice(&(leaves.leaves.len() as u64).to_le_bytes());
                for leaf in &leaves.leaves {
                    counted(&mut body, &leaf.hash);
                    body.extend_from_slice(&leaf.units.to_le_bytes());
                }
            }
            Some(Outcome::Failed(failed)) => {
                body.push(3);
                body.push(u8::from(failed.scene));
                counted(&mut body, failed.why.as_bytes());
            }
        }
    }
    let mut bytes = b"girih.v1 reports".to_vec();
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(&farm::digest::Digest::of(&body).0);
    bytes
}

fn counted(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    body.extend_from_slice(bytes);
}

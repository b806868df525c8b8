//! A worker that cheats is found out and earns nothing; the honest are paid; the frame is right.

use crate::farm::{Farm, has_device, wait_for};
use serde_json::{Value, json};
use worker::render::cheat::Cheat;

#[test]
fn a_cheat_earns_nothing_and_the_frame_is_right() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "100");
    farm.ask(&farm.operator, &["account", "top-up", "10", "--account", "0"]);
    farm.start_worker("own", &artist, &[]);
    farm.wait_for_workers(1);
    let job = farm.submit(&artist, &["--private", "--tile-size", "16"]);
    let reference = farm.finish(&artist, job);
    farm.drain_worker("own");

    let owners: Vec<String> = [("ada", false), ("bob", false), ("mallory", true)]
        .into_iter()
        .map(|(name, cheats)| {
            let key = farm.account(name, "0");
            let more: &[&str] = if cheats { &["--cheat", "one-block"] } else { &[] };
            farm.start_worker(name, &key, more);
            key
        })
        .collect();
    farm.wait_for_workers(3);
    let job = farm.submit(&artist, &["--tile-size", "16"]);
    assert_eq!(farm.finish(&artist, job), reference, "no altered block is delivered");
    let refuted = wait_for("the cheat to be found out", || {
        let workers = farm.ask(&farm.operator, &["workers", "--all"]);
        let mut workers = workers["workers"].as_array().unwrap().iter();
        workers.find(|worker| worker["refuted"] == true).cloned()
    });
    let why = farm.ask(&farm.operator, &["explain", "worker", &refuted["worker_id"].to_string()]);
    assert!(!why["lines"].as_array().unwrap().is_empty());
    let earned = |key: &str| {
        let balance = farm.ask(key, &["balance"]);
        balance["held"].as_u64().unwrap() + balance["payable"].as_u64().unwrap()
    };
    assert_eq!(earned(&owners[2]), 0, "the cheat");
    assert!(earned(&owners[0]) > 0 && earned(&owners[1]) > 0, "the honest");
    farm.verify();

    appeal_in_vain(&mut farm, &owners[2], &refuted, (&artist, job));
}

/// Neither the cheat nor an artist who doubts a true tile convinces an arbiter.
fn appeal_in_vain(farm: &mut Farm, cheat: &str, refuted: &Value, (artist, job): (&str, u64)) {
    let (id, account) = (refuted["worker_id"].to_string(), refuted["account_id"].to_string());
    let (_, said) = farm.fail(cheat, &["appeal", "worker", &id]);
    assert!(said.contains("NO_ARBITER"), "{said}");
    farm.ask(&farm.operator, &["account", "top-up", "1", "--account", &account]);
    let operator = farm.operator.clone();
    farm.start_worker("arbiter", &operator, &[]);
    wait_for("the arbiter to link", || {
        let workers = farm.ask(&operator, &["workers"]);
        workers["workers"].as_array()?.iter().any(|worker| worker["online"] == true).then_some(())
    });
    let job = job.to_string();
    // Some tiles of newcomers the arbiter looks at again of itself.
    let tiles: Vec<String> = (0..24).map(|tile| tile.to_string()).collect();
    let tiles = tiles.iter().map(|tile| [job.as_str(), tile]);
    for (key, matters) in [(cheat, vec![["worker", &id]]), (artist, tiles.collect())] {
        let appealed = matters.iter().find_map(|about| {
            let output = farm.run(key, &[&["appeal"], &about[..]].concat());
            output.status.success().then(|| serde_json::from_slice::<Value>(&output.stdout))
        });
        let appealed = appealed.expect("something may be appealed against").unwrap();
        let deposit = appealed["deposit"].clone();
        assert!(deposit.as_u64().unwrap() > 0);
        let kept = wait_for("the arbiter to decide", || {
            let statement = farm.ask(key, &["statement"]);
            let mut transfers = statement["transfers"].as_array()?.iter();
            transfers.find(|transfer| transfer["reason"] == "deposit-kept").cloned()
        });
        assert_eq!(kept["amount"], deposit);
    }
    farm.verify();
}

/// Every way to cheat, one cheat after the other in a frame of its own.
#[test]
fn every_cheat_is_found_out() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "100");
    farm.ask(&farm.operator, &["account", "top-up", "10", "--account", "0"]);
    let owners = farm.start_owners(&["ada", "bob"]);
    let plain = ["--tile-size", "16"];
    let adaptive = ["--tile-size", "16", "--samples", "32", "--noise", "0.1"];
    let due = [&plain[..], &adaptive[..]].map(|order| {
        let job = farm.submit(&artist, order);
        farm.finish(&artist, job)
    });
    let refuted = |farm: &Farm| {
        let workers = farm.ask(&farm.operator, &["workers", "--all"]);
        let all = workers["workers"].as_array().unwrap();
        all.iter().filter(|worker| worker["refuted"] == true).count()
    };
    for (found, (name, _)) in Cheat::ALL.into_iter().enumerate() {
        let key = farm.account(name, "0");
        farm.start_worker(name, &key, &["--cheat", name]);
        farm.wait_for_workers(3);
        let nth = usize::from(name == "early-stop");
        let order = [&plain[..], &adaptive[..]][nth];
        // It may come too late for a small frame.
        wait_for(name, || {
            let job = farm.submit(&artist, order);
            assert!(farm.finish(&artist, job) == due[nth], "{name} spoilt the frame");
            (refuted(&farm) > found).then_some(())
        });
        // Of its tiles nothing is left; leaves that it computed truly for others were paid.
        assert_eq!(farm.ask(&key, &["balance"])["held"], json!(0), "{name}");
        let statement = farm.ask(&key, &["statement"]);
        let transfers = statement["transfers"].as_array().unwrap();
        assert!(transfers.iter().all(|transfer| transfer["reason"] != "maturity"), "{name}");
        farm.kill_worker(name);
    }
    for key in owners {
        assert!(farm.ask(&key, &["balance"])["held"].as_u64().unwrap() > 0, "the honest");
    }
    assert_eq!(refuted(&farm), Cheat::ALL.len(), "and nobody else");
    farm.verify();
}

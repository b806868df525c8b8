//! Stakes on a real farm: an honest owner gets its own back once nothing is open any more, a cheat
//! loses it, and the log proves both.

use crate::farm::{Farm, has_device, wait_for};
use serde_json::{Value, json};

const REQUEST: &str = "6c1f6f0e-5d0c-4b43-9b5e-0d3f6f1d2a11";

#[test]
fn a_stake_comes_back_to_the_honest_and_a_cheat_loses_it() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start_with("maturity_ms = 5000\n");
    let artist = farm.account("artist", "100");
    farm.ask(&farm.operator, &["account", "top-up", "10", "--account", "0"]);
    let keys = ["ada", "bob", "mallory"].map(|name| farm.account(name, "3"));
    let [ada, _, mallory] = &keys;
    for (name, key) in ["ada", "bob", "mallory"].iter().zip(&keys) {
        let cheats: &[&str] = if *name == "mallory" { &["--cheat", "one-block"] } else { &[] };
        farm.start_worker(name, key, cheats);
    }
    farm.wait_for_workers(3);
    let id = |key: &str| farm.ask(key, &["workers"])["workers"][0]["worker_id"].to_string();
    let (honest, cheat) = (id(ada), id(mallory));

    for _ in 0..2 {
        let staked = farm.ask(mallory, &["stake", &cheat, "2", "--request-id", REQUEST]);
        assert_eq!(staked["stake"], 2_000_000);
    }
    refuse_stakes(&farm, mallory, &cheat, &honest);
    assert_eq!(farm.ask(ada, &["stake", &honest, "1"])["stake"], 1_000_000);
    let returned = json!({ "worker_id": honest.parse::<u64>().unwrap(), "returned": 1_000_000 });
    assert_eq!(farm.ask(ada, &["unstake", &honest]), returned, "nothing was said yet");
    assert!(farm.fail(ada, &["unstake", &honest]).1.contains("NOTHING_STAKED"));
    farm.ask(ada, &["stake", &honest, "1"]);

    let job = farm.submit(&artist, &["--tile-size", "16"]);
    wait_for("the stake to be bound", || {
        let why = farm.ask(ada, &["explain", "worker", &honest]).to_string();
        why.contains("1.000000 credits are staked for it, bound").then_some(())
    });
    assert!(farm.fail(ada, &["unstake", &honest]).1.contains("STAKE_BOUND"));
    farm.finish(&artist, job);
    let lost = wait_for("the cheat to lose its stake", || {
        let statement = farm.ask(mallory, &["statement"]);
        let mut transfers = statement["transfers"].as_array()?.iter();
        transfers.find(|transfer| transfer["reason"] == "stake-lost").cloned()
    });
    let books = (&lost["debit"], &lost["credit"], &lost["amount"], &lost["job_id"]);
    let stake = json!(format!("stake:{cheat}"));
    assert_eq!(books, (&stake, &json!("farm:audits"), &json!(2_000_000), &json!(job)));
    assert!(farm.fail(mallory, &["stake", &cheat, "1"]).1.contains("WORKER_REFUTED"));
    let back: Value = wait_for("the stake to be free", || {
        let output = farm.run(ada, &["unstake", &honest]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    });
    assert_eq!(returned, back);

    for _ in 0..2 {
        for (key, available) in [(ada, 3_000_000), (mallory, 1_000_000)] {
            let balance = farm.ask(key, &["balance"]);
            let money = (&balance["available"], &balance["staked"]);
            assert_eq!(money, (&json!(available), &json!(0)));
        }
        farm.verify();
        farm.kill_and_restart_scheduler();
    }
}

/// More than there is, another's worker, nothing, and what is no amount.
fn refuse_stakes(farm: &Farm, key: &str, own: &str, other: &str) {
    for (words, reason) in [
        (["stake", own, "1.5"], "STAKE_TOO_LARGE"),
        (["stake", other, "1"], "UNKNOWN_WORKER"),
        (["stake", own, "0"], "AMOUNT_INVALID"),
    ] {
        let (code, said) = farm.fail(key, &words);
        assert!(code == 7 && said.contains(reason), "{words:?}: {code}, {said}");
    }
    assert_eq!(farm.fail(key, &["stake", own, "much"]).0, 2);
    assert!(farm.fail(key, &["unstake", other]).1.contains("UNKNOWN_WORKER"));
}

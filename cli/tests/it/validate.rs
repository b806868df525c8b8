//! Validators on a real farm: two follow the log and agree, their scores reach the workers, and the
//! log proves it.

use crate::farm::{Farm, has_device, wait_for};
use serde_json::json;

#[test]
fn validators_score_workers_and_the_log_proves_it() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start_with("round_ms = 3000\n");
    let artist = farm.account("artist", "100");
    let keys = ["ada", "bob", "eve"].map(|name| farm.account(name, "30"));
    let [ada, bob, eve] = &keys;
    farm.start_worker("ada", ada, &[]);
    farm.start_worker("bob", bob, &[]);
    farm.wait_for_workers(2);
    for (words, reason) in [
        (&["bond", "9"][..], "BOND_TOO_SMALL"),
        (&["bond", "31"], "STAKE_TOO_LARGE"),
        (&["unbond"], "NO_VALIDATOR"),
        (&["validate", "--once"], "put one down with `girih bond`"),
    ] {
        let (code, said) = farm.fail(eve, words);
        assert!(code != 0 && said.contains(reason), "{words:?}: {code}, {said}");
    }
    assert_eq!(farm.ask(ada, &["bond", "10"])["bond"], 10_000_000);
    assert_eq!(farm.ask(eve, &["bond", "15"])["bond"], 15_000_000);
    let job = farm.submit(&artist, &["--tile-size", "16"]);
    farm.finish(&artist, job);
    for (name, key) in [("ada-scores", ada), ("eve-scores", eve)] {
        let mut command = farm.command(key);
        command.args(["validate", "--every", "1", "--state"]).arg(farm.path(name));
        farm.start_process(name, command);
    }

    let score = |key: &str| farm.ask(key, &["workers"])["workers"][0]["score"].as_u64();
    let (of_ada, of_bob) = wait_for("scores", || Some((score(ada)?, score(bob)?)));
    assert!(of_ada > 900 && of_bob > 900 && of_bob <= 1000, "{of_ada}, {of_bob}");
    let id = farm.ask(bob, &["workers"])["workers"][0]["worker_id"].to_string();
    let explained = farm.ask(bob, &["explain", "worker", &id]).to_string();
    assert!(explained.contains("validators score it"), "{explained}");
    let trusted = |key: &str| {
        let round = farm.ask(key, &["validators"]);
        let mut validators = round["validators"].as_array().unwrap().iter();
        validators.all(|validator| validator["trust"].as_u64() > Some(400)).then_some(round)
    };
    let round = wait_for("trust", || trusted(bob));
    assert_eq!(round["validators"][1]["bond"], 15_000_000, "{round}");

    farm.kill_worker("eve-scores");
    farm.verify();
    farm.kill_and_restart_scheduler();
    assert_eq!(farm.ask(eve, &["unbond"]), json!({ "returned": 15_000_000 }));
    let balance = farm.ask(eve, &["balance"]);
    assert_eq!((&balance["available"], &balance["bond"]), (&json!(30_000_000), &json!(0)));
    farm.verify();
}

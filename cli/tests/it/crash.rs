//! `kill -9` of the scheduler and of a worker in mid-job: the same frames, nothing paid twice,
//! nothing lost.

use crate::farm::{Farm, has_device, wait_for};
use serde_json::Value;

fn claimed(job: &Value) -> u64 {
    job["tiles_accepted"].as_u64().unwrap() + job["tiles_claimed"].as_u64().unwrap()
}

#[test]
fn killed_processes_change_nothing_but_the_time() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "100");
    let keys = farm.start_owners(&["ada", "bob", "cyd"]);
    let cut = ["--tile-size", "16", "--frames", "1-2"];
    let undisturbed = farm.submit(&artist, &cut);
    let reference = farm.finish(&artist, undisturbed);

    let job = farm.submit(&artist, &cut);
    wait_for("the first claims", || (claimed(&farm.job(&artist, job)) > 2).then_some(()));
    farm.kill_and_restart_scheduler();
    let before = claimed(&farm.job(&artist, job));
    farm.kill_worker("bob");
    wait_for("the others to go on", || {
        let now = farm.job(&artist, job);
        (claimed(&now) > before || now["state"] != "open").then_some(())
    });
    farm.start_worker("bob", &keys[1], &[]);
    assert_eq!(farm.finish(&artist, job), reference);
    let job = farm.job(&artist, job);
    assert_eq!(job["tiles_accepted"], job["tiles_total"]);
    let first = farm.job(&artist, undisturbed);
    assert_eq!(job["units"], first["units"], "the same work costs the same");
    assert_eq!(job["spent"], first["spent"]);
    farm.verify();
}

//! The same frame has the same bytes however it was cut and whoever computed it.

use crate::farm::{Farm, has_device, scene};

#[test]
fn one_worker_or_three_and_every_tile_size_give_the_same_bytes() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "100");
    farm.start_worker("own", &artist, &[]);
    farm.wait_for_workers(1);
    let mut images = Vec::new();
    for size in ["32", "64", "128"] {
        let job = farm.submit(&artist, &["--private", "--tile-size", size]);
        images.push(farm.finish(&artist, job));
    }
    assert_eq!(images[0], images[1], "tiles of 32 and 64");
    assert_eq!(images[0], images[2], "tiles of 32 and 128");
    let other = farm.submit(&artist, &["--private", "--seed", "1"]);
    assert_ne!(images[0], farm.finish(&artist, other), "another seed is another picture");
    assert_eq!(farm.drain_worker("own"), Some(0), "a worker told to leave leaves in order");

    farm.start_owners(&["ada", "bob", "cyd"]);
    let job = farm.submit(&artist, &["--tile-size", "32"]);
    assert_eq!(images[0], farm.finish(&artist, job), "three workers of three owners");
    farm.verify();
}

#[test]
fn a_job_cut_by_cost_has_the_bytes_of_a_grid_and_is_audited_alike() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "100");
    farm.start_owners(&["ada", "bob"]);
    let [scene, env] = scene();
    let order = |farm: &Farm, cut: &str| {
        let mut words = vec!["submit", scene.to_str().unwrap(), "--env", env.to_str().unwrap()];
        words.extend(["--size", "150x100", "--depth", "4", "--max-spend", "9", "--frames", "1-2"]);
        words.extend(["--samples", "32", "--noise", "0.05", "--tile-size", cut]);
        farm.ask(&artist, &words)
    };
    let grid = order(&farm, "64");
    assert_eq!((&grid["cut"]["by"], &grid["tiles_total"]), (&"grid".into(), &12.into()));
    let cost = order(&farm, "auto");
    let tiles = cost["cut"]["tiles_per_frame"].as_u64().unwrap();
    assert_eq!((&cost["cut"]["by"], &cost["tiles_total"]), (&"cost".into(), &(2 * tiles).into()));
    assert!(tiles > 1 && cost["cut"]["spread"].as_f64().unwrap() < 0.5, "{}", cost["cut"]);
    let [grid, cost] = [grid, cost].map(|job| job["job_id"].as_u64().unwrap());
    assert_eq!(farm.finish(&artist, grid), farm.finish(&artist, cost));
    assert_eq!(farm.job(&artist, grid)["units"], farm.job(&artist, cost)["units"]);
    farm.kill_and_restart_scheduler();
    assert_eq!(farm.job(&artist, cost)["tiles_total"], 2 * tiles);
    farm.verify();
}

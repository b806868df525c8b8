//! What a quote says against what the job then takes.

use crate::farm::{Farm, has_device, scene};

#[test]
fn a_job_takes_what_was_quoted_and_its_cap_is_enough() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "100");
    let key = farm.account("ada", "0");
    let [scene, env] = scene();
    let mut words = vec![scene.to_str().unwrap(), "--env", env.to_str().unwrap()];
    words.extend(["--size", "200x120", "--samples", "16", "--depth", "6", "--frames", "1-3"]);
    words.extend(["--tile-size", "auto"]);
    let ask = |farm: &Farm, command: &str, more: &[&str]| {
        farm.ask(&artist, &[&[command], &words[..], more].concat())
    };
    farm.start_worker("ada", &key, &[]);
    farm.wait_for_workers(1);
    let private = ask(&farm, "quote", &["--private"]);
    assert_eq!((&private["workers"], private["seconds"].is_null()), (&0.into(), true));

    farm.start_worker("bob", &artist, &[]);
    farm.wait_for_workers(2);
    let quote = ask(&farm, "quote", &[]);
    assert_eq!(quote["workers"], 2);
    assert!(quote["seconds"]["low"].as_f64() <= quote["seconds"]["high"].as_f64());

    let credits = quote["max_spend"].as_u64().unwrap() as f64 / 1e6;
    let job = ask(&farm, "submit", &["--max-spend", &format!("{credits:.6}")]);
    assert_eq!((&quote["cut"]["by"], &job["cut"]["by"]), (&"cost".into(), &"cost".into()));
    let job = job["job_id"].as_u64().unwrap();
    farm.finish(&artist, job);
    let job = farm.job(&artist, job);
    let units = job["units"].as_u64().unwrap();
    let quoted = |at: &str| quote["units"][at].as_u64().unwrap();
    println!("{units} units, {} quoted: {}", quoted("expected"), quote["units"]);
    assert!((quoted("low")..=quoted("high")).contains(&units));
    assert!((units as f64 / quoted("expected") as f64 - 1.0).abs() < 0.1);
    assert!(job["spent"].as_u64() <= quote["cost"]["high"].as_u64());
}

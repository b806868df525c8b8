//! The same frame has the same bytes however it was cut and whoever computed it.

use crate::farm::{Farm, has_device};

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

    for name in ["ada", "bob", "cyd"] {
        let key = farm.account(name, "0");
        farm.start_worker(name, &key, &[]);
    }
    farm.wait_for_workers(3);
    let job = farm.submit(&artist, &["--tile-size", "32"]);
    assert_eq!(images[0], farm.finish(&artist, job), "three workers of three owners");
    farm.verify();
}

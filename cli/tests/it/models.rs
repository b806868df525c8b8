//! A model on offer: published by one account, ordered by another that does not have it, computed
//! by strangers; who has no right to its bytes gets none.

use crate::farm::{Farm, has_device, wait_for};
use crate::infer::{model, write_picture};
use serde_json::{Value, json};

/// Publishes SPAN under this name.
fn publish(farm: &Farm, key: &str, name: &str, more: &[&str]) -> Value {
    let card = farm.path("card.md");
    std::fs::write(&card, format!("# {name}\nEnlarges pictures.\n")).unwrap();
    let (model, card) = (model(), card.to_str().unwrap().to_owned());
    let words = ["model", "publish", model.to_str().unwrap(), "--name", name, "--card", &card];
    let terms = ["--licence", "Apache-2.0", "--price", "0.5"];
    farm.ask(key, &[&words[..], &terms[..], more].concat())
}

fn id(farm: &Farm, key: &str) -> String {
    farm.ask(key, &["account", "show"])["account_id"].to_string()
}

fn infer<'a>(model: &'a str, input: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["infer", model, "--input", input, "--tile-size", "32"], more].concat()
}

fn royalties(farm: &Farm, key: &str) -> u64 {
    let balance = farm.ask(key, &["balance"]);
    let amount = |name: &str| balance[name].as_u64().unwrap();
    amount("royalties_held") + amount("royalties")
}

#[test]
fn a_published_model_is_ordered_without_its_bytes_and_its_owner_is_paid() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let names = ["maker", "artist", "stranger"];
    let [maker, artist, stranger] = names.map(|name| farm.account(name, "100"));
    farm.ask(&farm.operator, &["account", "top-up", "10", "--account", "0"]);
    let only = id(&farm, &artist);
    let published = publish(&farm, &maker, "span", &["--for", &only]);
    assert_eq!(published["royalty"], 500_000, "{published}");
    let shown = farm.ask(&stranger, &["model", "show", "span"]);
    assert_eq!(shown["licence"], "Apache-2.0", "{shown}");
    assert!(shown["card"].as_str().unwrap().contains("Enlarges"), "{shown}");
    let listed = farm.ask(&stranger, &["model", "list"]);
    assert_eq!(listed["models"][0]["name"], "span", "{listed}");

    let input = write_picture(&farm, "a.png", 0);
    let input = input.to_str().unwrap();
    let quote = farm.ask(&artist, &infer("model:span", input, &[]));
    let [units, royalty] = ["units", "royalty"].map(|name| quote[name].as_u64().unwrap());
    assert_eq!(royalty, (units * 500_000).div_ceil(1_000_000), "{quote}");
    let spend = ["--max-spend", "20"];
    let (code, said) = farm.fail(&stranger, &infer("model:span", input, &spend));
    assert!(code == 7 && said.contains("only named accounts"), "{code}: {said}");

    // The job waits for workers; the model is withdrawn meanwhile.
    let job = farm.ask(&artist, &infer("model:span", input, &spend))["job_id"].as_u64().unwrap();
    farm.ask(&maker, &["model", "withdraw", "span"]);
    let (code, said) = farm.fail(&artist, &infer("model:0", input, &spend));
    assert!(code == 2 && said.contains("model 0 was withdrawn"), "{code}: {said}");
    farm.start_owners(&["ada", "bob"]);
    let frames = farm.finish(&artist, job);
    let done = farm.job(&artist, job);
    let owed = done["royalties"].as_u64().unwrap();
    assert!(owed > 0 && owed < done["spent"].as_u64().unwrap(), "{done}");
    assert_eq!(royalties(&farm, &maker), owed);
    receipt(&farm, job, owed);

    // Whoever has the file himself uses it as his own, and the frames are the same.
    let plain = model();
    let own = infer(plain.to_str().unwrap(), input, &spend);
    let own = farm.ask(&stranger, &own)["job_id"].as_u64().unwrap();
    assert!(farm.finish(&stranger, own) == frames, "the same network");
    assert_eq!(farm.job(&stranger, own)["royalties"], 0);
    assert_eq!(royalties(&farm, &maker), owed);
    farm.verify();
}

/// The job's receipt proves what was owed.
fn receipt(farm: &Farm, job: u64, owed: u64) {
    let file = farm.path(&format!("job-{job}")).join(format!("job_{job}.receipt"));
    let key = std::fs::read_to_string(farm.path("state").join("log.vkey")).unwrap();
    let words = ["verify", "--receipt", file.to_str().unwrap(), "--log-key", key.trim()];
    let proven = farm.ask("", &words);
    assert_eq!((&proven["ok"], &proven["royalties"]), (&json!(true), &json!(owed)), "{proven}");
    assert_eq!(proven["model"], 0, "{proven}");
}

#[test]
fn only_workers_that_the_owner_trusts_compute_a_model() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let [maker, artist] = ["maker", "artist"].map(|name| farm.account(name, "100"));
    farm.ask(&farm.operator, &["account", "top-up", "10", "--account", "0"]);
    let keys = farm.start_owners(&["ada", "bob", "cyd"]);
    let [ada, bob, cyd] = [0, 1, 2].map(|nth| id(&farm, &keys[nth]));
    publish(&farm, &maker, "span", &["--workers-of", &ada, &bob]);
    let input = write_picture(&farm, "a.png", 0);
    let input = input.to_str().unwrap();
    farm.kill_worker("ada");
    farm.kill_worker("bob");
    wait_for("the workers to be gone", || {
        let workers = farm.ask(&farm.operator, &["workers", "--all"]);
        let online = workers["workers"].as_array()?.iter();
        (online.filter(|worker| worker["online"] == true).count() == 1).then_some(())
    });
    let order = infer("model:span", input, &["--max-spend", "20"]);
    let job = farm.ask(&artist, &order)["job_id"].as_u64().unwrap();
    let why = farm.ask(&artist, &["explain", &job.to_string(), "0"]).to_string();
    assert!(why.contains("lets only workers it trusts compute it"), "{why}");
    farm.start_worker("ada", &keys[0], &[]);
    farm.start_worker("bob", &keys[1], &[]);
    farm.finish(&artist, job);
    let workers = farm.ask(&farm.operator, &["workers", "--all"]);
    let cyd: u64 = cyd.parse().unwrap();
    let mut workers = workers["workers"].as_array().unwrap().iter();
    let passed_over = workers.find(|worker| worker["account_id"] == cyd).unwrap();
    assert_eq!(passed_over["tiles_clean"], 0, "{passed_over}");
    farm.verify();
}

#[test]
fn what_cannot_be_published_is_refused() {
    let farm = Farm::start();
    let maker = farm.account("maker", "0");
    let card = farm.path("card.md");
    let broken = farm.path("broken.onnx");
    std::fs::write(&card, "a card").unwrap();
    std::fs::write(&broken, b"no model").unwrap();
    let terms = ["--licence", "CC0-1.0", "--price", "1", "--card"];
    let refuse = |file: &str, card: &str, more: &[&str]| {
        let words = [&["model", "publish", file], &terms[..], &[card], more].concat();
        farm.fail(&maker, &words)
    };
    let (model, card) = (model(), card.to_str().unwrap().to_owned());
    let model = model.to_str().unwrap();
    let (code, said) = refuse(broken.to_str().unwrap(), &card, &[]);
    assert!(code == 8 && said.contains("broken.onnx"), "{code}: {said}");
    let (code, said) = refuse(model, "nothing.md", &[]);
    assert!(code == 8 && said.contains("nothing.md"), "{code}: {said}");
    let (code, said) = refuse(model, &card, &["--name", "SPAN"]);
    assert!(code == 7 && said.contains("a lowercase letter"), "{code}: {said}");
    let (code, said) = refuse(model, &card, &["--for", "99"]);
    assert!(code == 7 && said.contains("no such account"), "{code}: {said}");
    let (code, said) = farm.fail(&maker, &["model", "show", "nothing"]);
    assert!(code == 7 && said.contains("no such model"), "{code}: {said}");
}

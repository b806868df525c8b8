//! The simulated scheduler: stamps, applies, writes, and lets nothing out before it is synced. It
//! dies with whatever was not. Every log entry is followed by the public proof, every step judged.

use crate::Chance;
use crate::disk::Disk;
use crate::model::Model;
use crate::world::{Message, POLICY};
use anyhow::{Context, ensure};
use farm::digest::Digest;
use farm::entry::{Entry, Fact};
use farm::id::{LeaseId, WorkerId};
use farm::proof::Books;
use farm::time::Time;
use farm::{Command, Effect, Farm, Reject, Reply};
use std::collections::BTreeSet;

/// Who waits for the answer to a command.
#[derive(Clone, Copy, Debug)]
pub enum Asker {
    Nobody,
    /// A worker that says hello on this stream.
    Hello(usize, u32),
    /// A worker that reports or opens this lease.
    Lease(usize, u32, LeaseId),
}

/// What leaves the scheduler once the records before it are synced.
#[derive(Debug)]
pub enum Release {
    Effect(Effect),
    Answer(usize, u32, Message),
    Welcome(usize, u32, WorkerId, Vec<LeaseId>),
    /// The farm will not have this worker.
    Refused(usize, u32, Reject),
}

/// The scheduler's process, its disk, and those who watch it.
pub struct Shell {
    pub farm: Farm,
    disk: Disk,
    waiting: Vec<Release>,
    /// The public log as the world has seen it.
    published: Vec<Entry>,
    /// The farm's image at some synced record.
    snapshot: Option<(usize, Vec<u8>)>,
    model: Model,
    books: Books,
    /// What the clock shows is the world's time plus this.
    pub skew: i64,
    /// Workers that have reported something false.
    pub liars: BTreeSet<WorkerId>,
    /// Several owners may agree on something false, and the honest be outvoted until they appeal.
    pub conspired: bool,
    /// What commits to the keys that are kept.
    keys: BTreeSet<Digest>,
    /// Refused commands are looked at in detail now and then.
    looks: u64,
}

impl Shell {
    pub fn new() -> Self {
        Self {
            farm: Farm::new(POLICY),
            disk: Disk::default(),
            waiting: Vec::new(),
            published: Vec::new(),
            snapshot: None,
            model: Model::default(),
            books: Books::new(),
            skew: 0,
            liars: BTreeSet::new(),
            conspired: false,
            keys: BTreeSet::new(),
            looks: 0,
        }
    }

    /// Entries of the public log, published or not.
    pub fn entries(&self) -> u64 {
        self.farm.entries()
    }

    /// The public log, as far as it was let out.
    pub fn published(&self) -> &[Entry] {
        &self.published
    }

    /// Applies a command at the world's time `now`; what follows waits for the next sync.
    pub fn apply(
        &mut self,
        now: u64,
        command: Command,
        asker: Asker,
    ) -> anyhow::Result<Result<Reply, Reject>> {
        let clock = now.saturating_add_signed(self.skew);
        let at = Time(clock.max(self.farm.now().0 + 1));
        self.looks += 1;
        let before = self.looks.is_multiple_of(16).then(|| self.farm.image());
        let mut effects = Vec::new();
        let result = self.farm.apply(at, command.clone(), &mut effects);
        if let Err(reject) = result {
            ensure!(effects.is_empty(), "a refused command had effects");
            let same = before.is_none_or(|before| before == self.farm.image());
            ensure!(same, "a refused command changed the farm: {reject:?} to {command:?}");
        } else {
            self.witness(&command, &effects)?;
            self.disk.write(at, command);
        }
        // The answer goes first: nothing may overtake a welcome.
        self.answer(asker, &result);
        self.waiting.extend(effects.into_iter().map(Release::Effect));
        Ok(result)
    }

    fn answer(&mut self, asker: Asker, result: &Result<Reply, Reject>) {
        let release = match (asker, result) {
            (Asker::Hello(at, stream), Ok(Reply::Connected { worker, live })) => {
                Release::Welcome(at, stream, *worker, live.clone())
            }
            (Asker::Hello(at, stream), Err(reject)) => Release::Refused(at, stream, *reject),
            (Asker::Lease(at, stream, lease), Ok(Reply::Reported { settled })) => {
                Release::Answer(at, stream, Message::Answer(lease, *settled, ""))
            }
            (Asker::Lease(at, stream, lease), Err(reject)) => {
                Release::Answer(at, stream, Message::Answer(lease, false, reject.reason()))
            }
            _ => return,
        };
        self.waiting.push(release);
    }

    /// Those who watch: the public proof and the judge.
    fn witness(&mut self, command: &Command, effects: &[Effect]) -> anyhow::Result<()> {
        for effect in effects {
            let Effect::Log(entry) = effect else { continue };
            let same = Entry::from_bytes(&entry.to_bytes()).as_ref() == Some(entry);
            ensure!(same, "{entry:?} does not survive its bytes");
            let index = self.books.entries();
            self.books.follow(index, entry).with_context(|| format!("{entry:?}"))?;
        }
        if let Command::Report { lease, outcome, .. } = command
            && !matches!(outcome, farm::command::Outcome::Done { .. })
        {
            self.model.over(*lease);
        }
        if let Command::Submit(submit) = command {
            self.model.ordered = Some((submit.spec.clone(), submit.model, submit.seal));
        }
        self.keep_keys(command, effects)?;
        let (farm, liars) = (&self.farm, &self.liars);
        let lied = |worker| liars.contains(&worker) || self.conspired;
        let judged = self.model.step(effects, |book| farm.book(book).0, lied);
        judged.with_context(|| format!("{command:?}"))
    }

    /// Keeps keys as a scheduler does: from the order on, until the farm says that nothing will
    /// want them. No lease may want one that is gone.
    fn keep_keys(&mut self, command: &Command, effects: &[Effect]) -> anyhow::Result<()> {
        if let Command::Submit(submit) = command {
            self.keys.extend(submit.seal);
        }
        for effect in effects {
            if let Effect::Log(Entry { fact: Fact::KeyWrapped { seal, .. }, .. }) = effect {
                ensure!(self.keys.contains(seal), "a lease wants a key that was forgotten");
            }
        }
        if let Command::Tick = command {
            let wanted = self.farm.seals();
            self.keys.retain(|seal| wanted.contains(seal));
        }
        Ok(())
    }

    /// Makes everything durable; what waited for that leaves.
    pub fn sync(&mut self, chance: &mut Chance) -> Vec<Release> {
        self.disk.sync();
        if chance.percent(1) {
            self.snapshot = Some((self.disk.synced(), self.farm.image()));
        }
        let released = std::mem::take(&mut self.waiting);
        for release in &released {
            if let Release::Effect(Effect::Log(entry)) = release {
                self.published.push(entry.clone());
            }
        }
        released
    }

    /// The process dies and starts again: from what its disk kept, everything that was ever let out
    /// must be there. What the world is owed after it comes back.
    pub fn die(&mut self, chance: &mut Chance) -> anyhow::Result<Vec<Release>> {
        self.waiting.clear();
        self.disk.crash(chance);
        self.keys.clear();
        (self.farm, self.model, self.books) = (Farm::new(POLICY), Model::default(), Books::new());
        let records = self.disk.read().to_vec();
        let mut log = Vec::new();
        for record in &records {
            let mut effects = Vec::new();
            let reply = self.farm.apply(record.at, record.command.clone(), &mut effects);
            reply.with_context(|| format!("replay refuses {:?}", record.command))?;
            self.witness(&record.command, &effects)?;
            log.extend(effects.into_iter().filter_map(|effect| match effect {
                Effect::Log(entry) => Some(entry),
                _ => None,
            }));
        }
        ensure!(log.starts_with(&self.published), "the log has lost what was published");
        self.published = log;
        if let Some((position, image)) = &self.snapshot {
            let mut farm = Farm::from_image(image).context("an image of this version")?;
            for record in &records[*position..] {
                farm.apply(record.at, record.command.clone(), &mut farm::effect::Done)?;
            }
            ensure!(farm.image() == self.farm.image(), "snapshot and journal disagree");
        }
        Ok(self.farm.outstanding().into_iter().map(Release::Effect).collect())
    }

    /// At the end of the world: the books close, and the journal gives the same farm again.
    pub fn close(&mut self) -> anyhow::Result<()> {
        self.books.finish()?;
        self.model.finish()?;
        let image = self.farm.image();
        let mut again = Farm::new(POLICY);
        self.disk.sync();
        for record in self.disk.read() {
            again.apply(record.at, record.command.clone(), &mut farm::effect::Done)?;
        }
        ensure!(again.image() == image, "replay differs from life");
        let back = Farm::from_image(&image).context("the image is not read back")?;
        ensure!(back.image() == image, "the image does not survive");
        Ok(())
    }
}

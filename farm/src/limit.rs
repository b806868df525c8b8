//! Every limit, time-out and count that shapes the farm's behaviour, in one place.

/// A lease not renewed for this long is taken back.
pub const LEASE_MS: u64 = 30_000;
/// A lease older than this is taken back however often it was renewed.
pub const LEASE_AGE_MS_MAX: u64 = 20 * 60_000;
/// Leases a worker may hold for each slot: one computing, one waiting, so that it stays busy
/// across a round trip.
pub const LEASES_PER_SLOT: u32 = 2;
/// Leases that a worker without a standing may hold, however many slots it offers ...
pub const NEWCOMER_LEASES: u32 = 4;
/// ... and one more for so many micro-credits that its owner stakes: what a hundred tiles of 64
/// pixels and 64 samples bring, or so.
pub const STAKE_PER_LEASE: u64 = 100_000;
/// Slots a worker may offer.
pub const SLOTS_MAX: u32 = 256;
/// Engines a worker may offer.
pub const ENGINES_PER_WORKER_MAX: usize = 64;
/// Tiles of one worker that may wait for their verdict; beyond it the worker gets no new tile.
pub const CLAIMS_WAITING_MAX: u32 = 4096;
/// Audit leases waiting at one worker; beyond it another auditor is drawn.
pub const AUDITS_WAITING_MAX: usize = 256;
/// Owners on which a tile may fail before its job stops with the error.
pub const FAILED_OWNERS_MAX: usize = 3;
/// Failures of a tile, whoever had it, before its job stops.
pub const FAILURES_MAX: u32 = 6;
/// Opinions on one tile before it is declared undecided and computed afresh.
pub const OPINIONS_MAX: usize = 7;
/// Audits a tile may go through undecided before its job stops.
pub const UNDECIDED_MAX: u32 = 3;
/// A tile is payable when so many later tiles of its worker are clean ...
pub const MATURITY_TILES: u32 = 64;
/// ... or after this long.
pub const MATURITY_MS: u64 = 2 * 3_600_000;
/// Who has not so many times a tile's pay to lose as it reports it is watched as a newcomer is ...
pub const SECURED: u64 = 3;
/// ... until it has so many times that; and of what is final for its jobs so much stays behind it.
pub const BEHIND: u64 = 10;
/// Who says nothing for this long has left.
pub const LEFT_MS: u64 = 14 * 24 * 3_600_000;
/// The farm's fee, in thousandths of what a tile earns.
pub const FEE_PERMILLE: u64 = 50;
/// Work of one account is compared in steps of this many tiles, so that a scene stays warm for
/// about as long before another account's turn.
pub const SHARE_TILES: u64 = 64;
/// Jobs looked at for a warm scene among those that are equally due.
pub const WARM_LOOKS: usize = 16;
/// Scenes a worker is believed to hold warm.
pub const WARM_SCENES: usize = 4;
/// Random draws for an auditor before the roster is searched in order.
pub const AUDITOR_DRAWS: usize = 8;
/// Of a worker's auditors, so many last ones are not asked again while there are others.
pub const AUDITORS_REMEMBERED: usize = 8;
/// An owner that gave a claim no answer is not asked about it again for this long.
pub const AUDIT_AGAIN_MS: u64 = 1_000;
/// Claims in a million that are put before two auditors at once.
pub const TWICE_PARTS: u32 = 10_000;
/// Claims in a million that are put, once they are accepted, before an auditor who cannot tell them
/// from any other: the answer is known, so it is the auditor that is tried.
pub const RINGER_PARTS: u32 = 20_000;
/// Groups that the shell may name for a worker: what its machine and address have in common with
/// others.
pub const GROUPS_MAX: usize = 4;
/// Leaves drawn of a tile: this many times 64 over (64 + clean tiles) ...
pub const LEAVES_DRAWN_MAX: u64 = 16;
/// ... and never fewer than this.
pub const LEAVES_DRAWN_MIN: u64 = 4;
/// The first tiles of a newcomer, each computed in full a second time; after `n` clean tiles one is
/// with probability (this / n)², which keeps the redundancy of the first hundred below a fifth.
pub const REPLICAS_FIRST: u64 = 10;
/// Full replicas of a trusted worker, in a million tiles.
pub const REPLICA_PARTS_MIN: u64 = 5_000;
/// Auditors asked when opinions differ.
pub const ESCALATION: usize = 2;
/// A refutation may be appealed against for this long.
pub const APPEAL_MS: u64 = 14 * 24 * 3_600_000;
/// Validators; beyond it a larger bond takes the place of the least.
pub const VALIDATORS_MAX: usize = 64;
/// The least bond that makes a validator, micro-credits.
pub const BOND_MIN: u64 = 10_000_000;
/// Workers in one ballot: an entry of the log holds as many as twice that.
pub const SCORES_MAX: usize = 4096;
/// A round of scores: ballots are committed to in one and revealed in the next.
pub const ROUND_MS: u64 = 3_600_000;
/// The validators' share of the fees taken in a round, in thousandths.
pub const SCORING_PERMILLE: u64 = 100;
/// A validator is heard and paid from this much trust on ...
pub const TRUST_ADMITTED: u16 = 750;
/// ... and no longer below this.
pub const TRUST_HEARD: u16 = 500;
/// Added to how far a worker falls short, so that small differences between good workers weigh
/// little in how far validators agree.
pub const SHORTFALL_FLOOR: u16 = 50;
/// A worker with less than this score ...
pub const SCORE_LOW: u16 = 500;
/// ... holds no more leases than this, so that few tiles wait for it.
pub const LOW_LEASES: u32 = 1;
/// Frames in a job.
pub const FRAMES_MAX: u32 = 1_000_000;
/// Side of a frame in pixels.
pub const SIDE_MAX: u32 = 65_536;
/// Side of a tile in pixels.
pub const TILE_SIDE_MAX: u32 = 1024;
/// Tiles of a frame that is cut by a tree, so that its words stay small beside an order ...
pub const CUT_TILES_MAX: u64 = 1024;
/// ... and the depth of that tree, so that a tile is found in as many steps.
pub const CUT_DEPTH_MAX: u32 = 32;
/// Samples per pixel.
pub const SAMPLES_MAX: u32 = 65_536;
/// Largest noise threshold, millionths.
pub const NOISE_MAX: u32 = 1_000_000;
/// Leaves of one tile.
pub const LEAVES_MAX: u64 = 1 << 20;
/// Segments of a path.
pub const DEPTH_MAX: u32 = 64;
/// Open jobs of one account.
pub const JOBS_OPEN_MAX: u32 = 10_000;
/// Pixels along a side that a job makes of one of its upstream's.
pub const SCALE_MAX: u32 = 16;
/// Tiles that a tile may be made of: a lease names each.
pub const INPUTS_MAX: u64 = 2048;
/// Jobs that follow one another in a chain.
pub const CHAIN_MAX: usize = 8;
/// Jobs that are made of the same job's frames.
pub const DEPENDENTS_MAX: usize = 8;
/// Models that an account offers at a time.
pub const MODELS_MAX: usize = 1_000;
/// Accounts or workers that a model's owner names for each of their rights.
pub const RIGHTS_MAX: usize = 64;
/// Bytes of a licence's text or name.
pub const LICENCE_BYTES_MAX: usize = 200;
/// Highest priority.
pub const PRIORITY_MAX: u8 = 9;
/// Bytes of a failure text kept.
pub const WHY_BYTES_MAX: usize = 500;
/// Bytes of an account name or device name.
pub const NAME_BYTES_MAX: usize = 64;

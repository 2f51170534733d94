/**
 * Every bound of the product, in one table, with its reason. Units stand last in the names.
 * Relations between bounds are asserted in test/limits.test.ts.
 */
export const limits = {
  /** Slots of a new log: at most that many processes share one subscription. Fixed at creation. */
  slots: 64,
  /** An event's data, UTF-8 bytes. Facts are small; large things are stored elsewhere and pointed to. */
  eventBytesMax: 262_144,
  /** `JSON.parse` accepts a million levels and `JSON.stringify` then overflows the stack: bounded before anything else. */
  nestingMax: 64,
  /** Ids and keys, UTF-8 bytes: they are indexed. */
  keyBytesMax: 512,
  /** Names of event types, subscriptions, apps, sources: characters. */
  nameLengthMax: 200,
  /** Names of a projection's tables, characters: with the number of a generation they fit into PostgreSQL's 63. */
  tableNameMax: 48,
  /** A rebuild is looked after so often: whether it was asked for, how far it has come. */
  rebuildPollMs: 500,
  /** When the live tables stand still for the views to change over: how often it is looked whether the others are there. */
  cutOverPollMs: 10,
  /** The live tables stand still, for a change-over, when the others are at most so many positions behind. */
  cutOverLagMax: 2_000,
  /** After this the live tables go on, and the change-over is tried again. */
  frozenMaxMs: 2_000,
  /** Between two pages of a rebuild: at least, and in shares of what the page has taken. */
  rebuildPauseMs: 1,
  rebuildPauseShare: 1,
  /** `caughtUp` looks again after this long; the wait doubles up to the other. */
  caughtUpFirstMs: 1,
  caughtUpMaxMs: 25,
  /** All attributes but data together, UTF-8 bytes. */
  attributesBytesMax: 16_384,
  /** Events of one `publishAll`: it is one transaction. */
  batchEventsMax: 10_000,
  /** One value of `ctx.state`, UTF-8 bytes: it is read with every delivery of its key. */
  stateBytesMax: 65_536,
  /** Events emitted by one delivery. */
  emitsMax: 1_000,
  /** Events that one call of a batch's handler gets. */
  batchMax: 1_000,
  /** How long the first event of a batch may wait for others. */
  lingerMaxMs: 60_000,
  /** Statements queued by one delivery. */
  writesMax: 1_000,
  /** Runs of a handler with `store` whose transaction stood in others' way; then it is an ordinary failure. */
  transactionRunsMax: 3,
  /** Connections of the log's own for handlers with `pgStore()`, per process; made on demand. */
  transactionsMax: 16,
  /** A transaction whose handler does nothing in it for this long is ended by the server: it may be a dead process's. */
  transactionIdleMs: 30_000,
  /** A handler whose transaction could not begin is tried again after this long, uncharged. */
  transactionDeferMs: 1_000,
  /** Stored text of a thrown value, UTF-8 bytes. */
  errorBytesMax: 8_192,
  /** Failures kept per dead letter; the first and the newest stay. */
  failuresKeptMax: 50,
  /** Publishes waiting for their commit in one process; beyond it `publish` rejects with BUSY. */
  publishesWaitingMax: 100_000,
  /** Events in one group commit: bounds how long the event loop stands still. */
  commitEventsMax: 4_096,
  /** Their data, characters: large events make it smaller. */
  commitBytesMax: 4 * 1024 * 1024,
  /** Events that one run of the relay moves out of the outbox: publishes of others wait for its commit. */
  relayEvents: 1_024,
  /** The relay looks for more after this long when it found some; doubles while it finds none. */
  outboxPollMinMs: 10,
  /** Its longest wait: what an event of an own transaction may lie there while nothing else comes. */
  outboxPollMaxMs: 100,
  /** Waiting and refused events are counted up to here: a status must cost little however much has piled up. */
  outboxCountedMax: 100_000,

  attemptsMax: 8,
  crashesMax: 5,
  backoffFirstMs: 1_000,
  backoffMaxMs: 900_000,
  backoffFactor: 6,
  /** A delivery that a dead session was running is due again after this long. */
  crashDelayMs: 1_000,
  /** A suspect that has lived so long lets the next one begin: what kills a process does so soon. */
  suspectTurnMs: 250,
  /** A delivery newer than the code is looked at again after this long. */
  awaitDeployMs: 15_000,
  handlerTimeoutMs: 300_000,
  /** A handler past its timeout that does not settle is given up after this long; it keeps its place in flight. */
  abandonAfterMs: 30_000,
  /** A delivery that runs longer gets a row of its own, so that it pins no slot. */
  detachAfterMs: 5_000,
  leaseMs: 15_000,
  leaseMinMs: 100,
  /** Beats per lease: a session may miss several before anyone takes it for dead. */
  beatsPerLease: 5,
  /** Where the death of a process is noticed at once: how often to look. */
  deathPollMs: 500,
  concurrency: 16,
  concurrencyMax: 10_000,

  checkpointMs: 100,
  checkpointEvents: 10_000,
  pageEvents: 128,
  /** Positions one read may look at when little of them matches. */
  scanMax: 10_000,
  /** Pages that one look at a subscription's lag goes far; the next look goes on from there. */
  lagPagesMax: 10,
  /** Events shown of one correlation: the ledger is asked about each by itself. */
  traceEventsMax: 1_000,
  /** Steps shown of one delivery. */
  traceStepsMax: 1_000,
  /** Rates are those of this long. */
  rateWindowMs: 10_000,
  /** Error rates need more: failures are rarer. */
  errorWindowMs: 60_000,
  /** Looks closer to each other than this, a checkpoint, say nothing of speed. */
  sampleMinMs: 100,
  /** Events read but not started, per subscription and process. What waits longer than the caches last costs half again. */
  readAheadMax: 512,
  /** Lanes that a slot keeps while nothing waits in them: maps in which much comes and goes are slow to collect. */
  lanesIdleMax: 64,
  /** How far claims run ahead of what was started, in positions. */
  claimAheadMin: 64,
  claimAheadMax: 65_536,
  /** Runs of closed positions above `low`, per slot; beyond it the oldest gap's delivery is detached. */
  rangesMax: 4_096,
  /** Held rows per subscription; at the bound its slots stop reading. */
  heldMax: 1_000_000,
  /**
   * Where what was read does not become less for so long, groups beyond their share are deferred. Of the read-ahead a group has an
   * even share, between these: with fewer, what comes next would not be at hand; with more, a second group would find no room.
   */
  deferAfterMs: 50,
  groupShareMin: 8,
  groupShareMax: 128,
  /** Of groups with deferred rows so many are looked at, each time something ends, for one that has room. */
  groupsLookedAt: 16,
  /** Limits over all processes: groups of one subscription lie in so many parts of the register, each read as one. */
  limitShards: 16,
  /** Groups whose limits a process keeps in mind. */
  limitGroupsKept: 1_000,
  /** What is held of a limit, or waited for, is looked at so often. */
  limitLookMs: 100,
  /** Places that are not used are kept for so long, where nobody waits for them. */
  limitKeepMs: 1_000,
  /** Where others wait, a process gives back what is beyond its part after so long. */
  limitTurnMs: 1_000,
  /** Starts that were drawn are used within this time, or lost. */
  limitStartsMs: 1_000,
  /** Of `limits`: the highest numbers, and the longest time of a rate. */
  limitMax: 1_000_000,
  limitPerMaxMs: 86_400_000,
  /** Of what a subscription waits for, so much is named in its status. */
  waitsShown: 20,
  /** Sessions that were asked about and are not there. */
  sessionsAskedMax: 1_000,
  /** Rows fetched per look for due deliveries. */
  duePageRows: 256,
  /** A look for due rows that nobody announced (another process redrove one). */
  duePollMs: 1_000,
  /** What operators have paused is looked at again after this long, in every process. */
  pausePollMs: 500,
  /** The first delivery of a paused key is looked at again after this long: it costs two small writes. */
  pauseLookMs: 10_000,
  /**
   * An outage: so many failures in a row over different keys, or so many that are of a connection. A run of ten by chance is rare
   * even where half of all attempts fail (one in a thousand).
   */
  outageFailures: 10,
  outageConnections: 3,
  /** What fails in a row is told to the other processes so often, and others' successes are waited for so long. */
  outageShareMs: 250,
  /** The first probe, and the longest wait between two; a process that has nothing to try looks again so often. */
  outageProbeFirstMs: 1_000,
  outageProbeMaxMs: 60_000,
  outageAgainMs: 100,
  /** Failures of a run that are given back. */
  outageMembersMax: 1_000,
  /** Pauses in force on one log: all are looked at every time. */
  pausesMax: 1_000,
  /** Dead letters of one redrive job: their places are kept, 20 bytes each. */
  redriveChosenMax: 100_000,
  /** Redrive jobs that have ended and are still shown. */
  redriveJobsKept: 100,
  /** Keys of which a redrive job has a delivery underway at one time, per subscription. */
  redriveKeysMax: 256,
  /** A worker looks for redrive jobs so often; at one that goes on, and at one that waits for its deliveries. */
  redriveLookMs: 500,
  /** Of one turn of a job, so that a cancelled one ends soon. */
  redriveTurnMax: 32,
  redriveTurnMs: 5,
  redriveWaitMs: 50,
  /** Longest wait for a hint that something was appended. */
  wakeMaxMs: 250,
  /** BEGIN is retried by the runtime for this long, then STORE_BUSY. */
  busyMaxMs: 5_000,
  /** Shortest period of a schedule. */
  scheduleMinMs: 1_000,
  /** A tick that is later than this was missed: nobody was there for it. */
  tickLateMs: 60_000,
  /** Ticks that one schedule makes up for at once. */
  ticksMax: 1_000,
  /** A schedule whose event cannot be made is tried again after this long. */
  tickRetryMs: 10_000,
  /** Delayed events that become facts in one transaction. */
  fireEvents: 500,
  /** Farthest time of a delayed event from now: ten years. */
  delayMaxMs: 315_576_000_000,
  /** Values of steps up to this size are loaded with the journal, larger ones when they are asked for. UTF-8 bytes. */
  stepInlineBytes: 65_536,
  /** One step's value, UTF-8 bytes. */
  stepBytesMax: 16_777_216,
  /** Facts that a wait remembers before its handler looks. */
  foundMax: 1_000,
  /** Deltas are gathered for so long, and looked for so often where other processes tell them. */
  deltaEveryMs: 100,
  /** Text of one delivery that is gathered, characters: of more, the newest is told. */
  deltaCharsMax: 16_384,
  /** Deliveries whose text is gathered at one time. */
  deltasWaitingMax: 1_000,
  /** Text that one reader has not taken, characters: beyond it the oldest is lost. */
  deltaQueueCharsMax: 262_144,
  /** SQLite: the file through which processes hear each other is emptied at this size, and when nothing came for so long. */
  deltaFileBytesMax: 1_048_576,
  deltaKeptMs: 10_000,
  /** An entry of the register is tried to be moved so often where others move it too. */
  entryTriesMax: 1_000,
  /** The body of one entry of the register, UTF-8 bytes. */
  entryBytesMax: 16_384,
  /** Access tokens of one log: all are held in memory by each server. */
  tokensMax: 1_000,
  /** A server looks at the tokens again after this long: a revoked one works no longer than that. */
  tokensLookMs: 1_000,
  /** When a token was last used is written down so often at most. */
  tokenUsedMs: 60_000,
  /** Requests of one token that one process answers. */
  tokenRequestsPerSecond: 10_000,
  /** Event streams open in one process for one caller. */
  callerStreamsMax: 100,
  /** Entries of one page of a list (events, dead letters), and where nobody says. */
  listMax: 1_000,
  listDefault: 100,
  /** Data of one page of events, characters: a page is held in memory. One event is a page, whatever its size. */
  listBytesMax: 1_048_576,
  /** Looks at the log for one page, each of `pageEvents` events or `scanMax` positions. */
  pageLooksMax: 64,

  /** A request's body, bytes: a batch is more than one large event, and is parsed in one go. */
  bodyBytesMax: 1_048_576,
  /** Headers of one request; their bytes are bounded by Node.js (16 KiB). */
  headersMax: 100,
  /** Event streams open in one process: an idle one costs some 20 KiB. */
  streamsMax: 10_000,
  /** Frames that wait for one reader, bytes. Beyond it the reader is waited for. */
  streamBytesMax: 1_048_576,
  /** A reader that takes nothing of a full buffer for so long is cut off. */
  streamStallMs: 10_000,
  /** Frames are gathered for so long before they are written. */
  streamGatherMs: 10,
  /** A silent stream says so often that it lives: proxies close what is silent for a minute. */
  streamBeatMs: 15_000,
  /** An open stream's right to read is looked at again so often. */
  streamAccessMs: 25_000,
  /** Slow clients: all headers, and the whole request, must have come by then. */
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,

  /** Rules of one app, and where each may tell: all are looked at every time. */
  alertsMax: 100,
  alertTargetsMax: 16,
  alertEveryMs: 1_000,
  /** An alert is over when its condition has not held for so long: one that comes and goes is one alert. */
  alertResolveMs: 10_000,
  alertStalledMs: 60_000,
  /** One attempt of a webhook, from the look-up to the end of the answer. */
  webhookTimeoutMs: 10_000,
  /** Of an answer nothing is kept; what is longer is no answer. */
  webhookAnswerBytesMax: 65_536,
  /** About a quarter of an hour in all; by then the next alert says more. */
  webhookAttemptsMax: 6,
  webhookBackoffMs: 1_000,
  webhookBackoffFactor: 5,
  /** Per target and process; beyond it the oldest is given up. */
  webhooksWaitingMax: 1_000,
  graceMs: 30_000,
  closeGraceMs: 10_000,
  dedupeWindowMs: 86_400_000,
} as const;

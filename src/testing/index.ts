export { type CrashProblem, type CrashReport, type CrashSubject, crashTest } from "./crash-test.ts";
export { type Effect, type EffectCall, fakeEffect } from "./fake-effect.ts";
export { testLog, type TestLog } from "./test-log.ts";

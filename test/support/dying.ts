import type { EngineHandle } from "../../src/engine/engine.ts";

/** Dies when the nth transaction has been committed, and nobody else has been told. */
export function dyingAfterCommit(handle: EngineHandle, nth: number): EngineHandle {
  let left = nth;
  return {
    ...handle,
    async open(env) {
      const engine = await handle.open(env);
      const ledger = new Proxy(engine.ledger, {
        get(target, name) {
          const member: unknown = Reflect.get(target, name, target);
          if (typeof member !== "function") return member;
          if (name !== "transact") return member.bind(target) as unknown;
          return async (...args: Parameters<typeof target.transact>) => {
            const answer = await target.transact(...args);
            if (answer.status === "settled" && --left === 0) process.kill(process.pid, "SIGKILL");
            return answer;
          };
        },
      });
      return { ...engine, ledger };
    },
  };
}

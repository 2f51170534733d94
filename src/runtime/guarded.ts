/**
 * `target` as long as `check` lets it: every look at a member asks first, and every call of one that was kept. Members see
 * the target itself, whose private parts a proxy would hide from them.
 */
export function guarded(target: unknown, check: () => void): unknown {
  if (typeof target !== "object" || target === null) return target;
  return new Proxy(target, {
    get(object, name) {
      check();
      const member: unknown = Reflect.get(object, name, object);
      if (typeof member !== "function" || name === "constructor") return member;
      return (...args: unknown[]): unknown => {
        check();
        return Reflect.apply(member, object, args);
      };
    },
  });
}

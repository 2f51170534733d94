/**
 * `target` as long as `check` lets it: every look at a member asks first. Members see the target itself, whose private
 * parts a proxy would hide from them.
 */
export function guarded(target: unknown, check: () => void): unknown {
  if (typeof target !== "object" || target === null) return target;
  return new Proxy(target, {
    get(object, name) {
      check();
      const member: unknown = Reflect.get(object, name, object);
      return typeof member === "function" && name !== "constructor" ? member.bind(object) : member;
    },
  });
}

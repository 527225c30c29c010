/** `value` as JSON text; `undefined` where JSON cannot hold it, whatever its `toJSON` does. */
export function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

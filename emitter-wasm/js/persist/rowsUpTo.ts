/** The keys of a session's rows up to the number `end`. */
export function rowsUpTo(session: string, end: number = Infinity): IDBKeyRange {
  // An array is above every number.
  return IDBKeyRange.bound([session], [session, end, []]);
}

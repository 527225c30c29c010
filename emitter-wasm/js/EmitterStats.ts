/** The account of this page's session. At every moment `created = acknowledged + pending + the sum of lost`. */
export interface EmitterStats {
  /**
   * `loading` the module; `connecting` to the relay; `connected`; `waiting` for the next try or for the page
   * to be shown again; `stopped` for good, by `shutdown()` or by the relay; `failed` for good.
   */
  state: 'loading' | 'connecting' | 'connected' | 'waiting' | 'stopped' | 'failed';
  /** Traced writes so far. */
  created: number;
  /** Those that the relay has taken. */
  acknowledged: number;
  /** Those neither acknowledged nor lost yet. */
  pending: number;
  /**
   * Those that nobody will receive, by reason; reasons that did not occur are absent. `queue_full`: the relay
   * was away for longer than the queue lasts. `too_large`: over the protocol's limits. `not_serializable`: as
   * `unserializable: 'drop'` asks. `rejected`: the relay
   * did not want it. `page_closed`: the session ended before it could be sent. `emitter_failed`: see
   * `onDiagnostic`.
   */
  lost: Record<string, number>;
  /** Trace id of the newest update, 32 hexadecimal digits. */
  lastTraceId?: string;
}

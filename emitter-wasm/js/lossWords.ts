/** What the first loss of each reason is told as. */
export const lossWords: Record<string, string> = {
  queue_full: 'the relay has been away for longer than the queue lasts; updates are lost, and counted',
  too_large: 'an update is beyond the protocol’s limits, and lost',
  not_serializable: 'a value that JSON cannot hold is lost, as the app asked',
  page_closed: 'updates could not be sent before their session ended, and are lost',
  rejected: 'the relay has refused updates; its own metrics say why',
  emitter_failed: 'the emitter has failed; traced writes are not recorded any more',
};

/** The part of an emitter that loads after the page works: its sessions with a relay. */
export interface Sessions {
  flush(): Promise<void>;
  /** Ends once everything is settled. */
  end(): Promise<void>;
  /** Ends now, with a last request. */
  abandon(): Promise<void>;
}

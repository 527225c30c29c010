/** The part of an emitter that loads after the page works: its sessions with a relay. */
export interface Sessions {
  flush(): Promise<void>;
  stop(): Promise<void>;
}

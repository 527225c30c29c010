interface ImportMetaEnv {
  /** The relay's stream, `ws(s)://host[:port]/v1/stream`. */
  readonly VITE_RELAY_URL?: string;
  /** Where traces are shown, without the trailing `/{trace id}`; default: the relay's own trace view. */
  readonly VITE_TRACES_URL?: string;
}

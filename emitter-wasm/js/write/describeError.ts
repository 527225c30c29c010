/** OpenTelemetry's `error.type` and a message for whatever was thrown. */
export function describeError(error: unknown): { type: string; message: string } {
  try {
    if (error instanceof Error) {
      return { type: String(error.name || error.constructor.name), message: String(error.message) };
    }
    return { type: String(Object(error).constructor.name), message: String(error) };
  } catch {
    // Semantic conventions' fallback: the thrown thing throws in its turn when it is looked at.
    return { type: '_OTHER', message: '' };
  }
}

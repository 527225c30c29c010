export function Moon() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d="M14 9.8A6.5 6.5 0 1 1 6.2 2 5.2 5.2 0 0 0 14 9.8Z" fill="currentColor" />
    </svg>
  );
}

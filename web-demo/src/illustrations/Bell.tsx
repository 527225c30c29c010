export function Bell() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path
        d="M8 1.5c-2.8 0-4.5 2-4.5 4.8 0 2.7-1.5 4-1.5 5.2h12c0-1.2-1.5-2.5-1.5-5.2C12.5 3.5 10.8 1.5 8 1.5Z"
        fill="currentColor"
      />
      <path d="M6 13a2 2 0 0 0 4 0Z" fill="currentColor" />
    </svg>
  );
}

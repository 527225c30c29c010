/** The seal: a tuna's tail and back in a vermilion round. */
export function Logo() {
  return (
    <svg viewBox="0 0 40 40" aria-hidden="true" focusable="false">
      <circle cx="20" cy="20" r="20" fill="var(--sun)" />
      <path d="M7 21c5-8 15-9 21-2l6-5c-1 4-1 8 0 12l-6-5c-6 7-16 7-21 0Z" fill="#fffaf0" />
      <circle cx="13" cy="19.5" r="1.4" fill="var(--sun)" />
    </svg>
  );
}

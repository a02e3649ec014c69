/**
 * The name of the product with its mark.
 *
 * @module
 */
export function Brand() {
  return (
    <span className="brand">
      <svg className="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="var(--text)" />
        <path d="M18.6 5 8 18h6.6L13.2 27 24 13.6h-6.8z" fill="var(--on-ink)" />
      </svg>
      Fluxbase
    </span>
  );
}

// Follows the system until the reader chooses; a choice that equals the system's is forgotten again.
(() => {
  const root = document.documentElement;
  const system = () => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  const stored = localStorage.getItem('atomwire-theme');
  if (stored === 'dark' || stored === 'light') root.dataset.theme = stored;

  addEventListener('DOMContentLoaded', () => {
    document.getElementById('theme')?.addEventListener('click', () => {
      const next = (root.dataset.theme ?? system()) === 'dark' ? 'light' : 'dark';
      if (next === system()) {
        delete root.dataset.theme;
        localStorage.removeItem('atomwire-theme');
      } else {
        root.dataset.theme = next;
        localStorage.setItem('atomwire-theme', next);
      }
    });
  });
})();

// Runs before the first paint: the theme that was chosen, and the mark that scripts work.
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  try {
    const theme = localStorage.getItem("ovdet-theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch {
    /* a browser may keep no storage for a page from a file */
  }
})();

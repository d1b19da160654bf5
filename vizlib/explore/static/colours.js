// Light or dark: what JupyterLab says, or else the browser.

export function followColours(root, tell) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const recolour = () => {
    const { jpThemeLight } = document.body.dataset;
    root.classList.toggle("dark", jpThemeLight ? jpThemeLight === "false" : system.matches);
    tell();
  };
  const themed = new MutationObserver(recolour);
  themed.observe(document.body, { attributes: true });
  system.addEventListener("change", recolour);
  recolour();
  return () => {
    themed.disconnect();
    system.removeEventListener("change", recolour);
  };
}

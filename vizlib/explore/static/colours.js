// Light or dark: what JupyterLab or VS Code says, or else the browser.

export function followColours(root, tell) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const recolour = () => {
    const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
    const isDark = vscodeThemeKind ? /(dark|contrast)$/.test(vscodeThemeKind) : system.matches;
    root.classList.toggle("dark", jpThemeLight ? jpThemeLight === "false" : isDark);
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

// Light or dark: what the system says, unless somebody chose.

const KEY = "dispatch.theme";

export const chosen = () => localStorage.getItem(KEY) || "system";

export function choose(theme) {
  if (theme === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme);
  dress();
}

export function dress() {
  const theme = chosen();
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("dressed"));
}

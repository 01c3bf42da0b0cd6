// The page for whoever has no session: a key becomes one.

const form = document.getElementById("login");
const field = document.getElementById("key");
const said = document.getElementById("said");

if (new URLSearchParams(location.search).get("link") === "used") {
  said.textContent = "This login link was used before, or is too old: `dispatch serve` prints another one when it starts. Or log in with a key.";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  said.textContent = "";
  try {
    const answer = await fetch("v1/session", {
      method: "POST",
      headers: { Authorization: `Bearer ${field.value.trim()}` },
    });
    if (answer.ok) return location.reload();
    const { error } = await answer.json();
    said.textContent = answer.status === 401 ? "That is no valid key." : `${error.message}.`;
  } catch {
    said.textContent = "The server does not answer. Try again.";
  }
  field.select();
});

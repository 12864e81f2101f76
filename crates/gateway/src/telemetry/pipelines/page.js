"use strict";
// Fetches this page again each second and puts its new contents in the place of the old.
setInterval(async function () {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(page.querySelector("main"));
    document.body.classList.remove("lost");
  } catch (error) {
    document.body.classList.add("lost");
  }
}, 1000);

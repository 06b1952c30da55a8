// What is wrong with the page that is open: as a list of sentences.
() => {
  const found = [];
  const root = document.scrollingElement;
  if (root.scrollWidth > root.clientWidth) {
    const guilty = [...document.body.querySelectorAll("*")].filter((element) => {
      if (element.closest(".scroll, .log, pre, .unseen, .skip") && !element.matches(".scroll, .log, pre")) return false;
      return element.getBoundingClientRect().right > root.clientWidth + 1;
    });
    found.push(`it is ${root.scrollWidth - root.clientWidth} px too wide: ${guilty.slice(0, 3).map((e) => e.outerHTML.slice(0, 100))}`);
  }

  const one = (selector) => {
    const count = document.querySelectorAll(selector).length;
    if (count !== 1) found.push(`${count} of ${selector}, not one`);
  };
  ["main", "h1", "head > title", "header", "html[lang]"].forEach(one);

  const seen = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  for (const control of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")) {
    const label = control.labels?.[0]?.textContent ?? "";
    const name = control.getAttribute("aria-label") || control.textContent || label || control.title;
    if (seen(control) && !name.trim()) found.push(`a control without a name: ${control.outerHTML}`);
  }
  for (const region of document.querySelectorAll("nav, [role=region], [role=log]")) {
    if (!region.getAttribute("aria-label") && !region.getAttribute("aria-labelledby")) {
      found.push(`a region without a name: ${region.outerHTML.slice(0, 80)}`);
    }
  }
  for (const image of document.querySelectorAll("img:not([alt])")) found.push(`no alt: ${image.outerHTML}`);
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) found.push(`the id ${id} twice`);

  // Headings go down one level at a time.
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    if (!seen(heading)) continue;
    const own = Number(heading.tagName[1]);
    if (own > level + 1) found.push(`after level ${level} comes ${heading.outerHTML.slice(0, 80)}`);
    level = own;
  }

  // Contrast: WCAG AA is 4.5, for large text 3.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const dull = new Map();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !seen(element) || element.closest(".a-dim, option, script")) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(rgba(style.color)), luminance(ground(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) dull.set(`${element.className} ${style.color}`, `${ratio.toFixed(2)}: ${texts.currentNode.data.trim().slice(0, 40)}`);
  }
  for (const [what, where] of dull) found.push(`contrast of ${what} is only ${where}`);
  return found;
}

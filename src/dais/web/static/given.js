// The files that a reader gives to a page, by dropping or with a button: {files: [{file, path}], directories: [path]}.

// What was dropped: {files, directories}. Must be called while the event is handled; it goes through directories then.
export function dropped(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const taken = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  return gather(taken);
}

async function gather(taken) {
  const files = [], directories = [];
  async function walk(entry, path) {
    if (entry.isFile) {
      files.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path });
      return;
    }
    const reader = entry.createReader();
    let empty = true;
    while (true) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      empty = false;
      for (const inner of some) await walk(inner, `${path}/${inner.name}`);
    }
    if (empty) directories.push(path);
  }
  for (const { entry, file } of taken) {
    if (entry) await walk(entry, entry.name);
    else if (file) files.push({ file, path: file.name });
  }
  return { files, directories };
}

// What was chosen with a button: a directory's files know their paths.
export function picked(input) {
  return { files: [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })), directories: [] };
}

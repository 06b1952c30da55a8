// A worker that reads files and tells their BLAKE3 digests. It is the one script that runs WebAssembly, so it has a
// policy of its own (see assets.py). Messages: {id, file, whole}; answers: {id, done} on the way, then {id, digest} with
// the content where `whole` asked for it, or {id, problem}.

importScripts("blake3.js");

const CHUNK = 4 << 20;

onmessage = async ({ data: { id, file, whole } }) => {
  try {
    const hasher = await hashwasm.createBLAKE3();
    let content = null;
    for (let at = 0; at < file.size; at += CHUNK) {
      const piece = await file.slice(at, at + CHUNK).arrayBuffer();
      hasher.update(new Uint8Array(piece));
      if (whole) content = piece;
      postMessage({ id, done: Math.min(file.size, at + CHUNK) });
    }
    content ??= whole ? new ArrayBuffer(0) : null;
    postMessage({ id, digest: `blake3:${hasher.digest()}`, content }, content ? [content] : []);
  } catch (error) {
    postMessage({ id, problem: String(error.message ?? error) });
  }
};

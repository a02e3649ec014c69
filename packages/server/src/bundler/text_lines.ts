/**
 * Cuts a stream of text into lines.
 *
 * @module
 */
export class TextLineStream extends TransformStream<string, string> {
  constructor() {
    // Pieces of an unfinished line are joined once, at its end: a line may come in thousands of chunks.
    let pieces: string[] = [];
    super({
      transform(chunk, controller) {
        const parts = chunk.split("\n");
        for (let index = 0; index < parts.length - 1; index += 1) {
          controller.enqueue([...pieces, parts[index]].join(""));
          pieces = [];
        }
        const rest = parts.at(-1);
        if (rest) pieces.push(rest);
      },
      flush(controller) {
        if (pieces.length > 0) controller.enqueue(pieces.join(""));
      },
    });
  }
}

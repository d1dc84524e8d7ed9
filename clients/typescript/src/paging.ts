import type {
  DescMessage,
  DescMethodUnary,
  Message,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { CallOptions, Transport } from "@connectrpc/connect";
import { LocalError } from "./errors.js";
import { copyOf, type HeadersInput } from "./transport.js";

/** The items of a page: those of its one repeated field of messages. */
export type ItemOf<Page> = {
  [Field in keyof Page]-?: Page[Field] extends (infer Item)[] ? (Item extends Message ? Item : never) : never;
}[keyof Page];

/** Yield the items of every page, starting at the page_token of the request. */
export async function* pages<I extends DescMessage, O extends DescMessage>(
  transport: Transport,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  options: CallOptions = {},
): AsyncGenerator<ItemOf<MessageShape<O>>, void, undefined> {
  const token = method.input.fields.find((field) => field.name === "page_token");
  const next = method.output.fields.find((field) => field.name === "next_page_token");
  const lists = method.output.fields.filter(
    (field) => field.fieldKind === "list" && field.listKind === "message",
  );
  const [items] = lists;
  if (!token || !next || !items || lists.length > 1) {
    throw new LocalError("INVALID", `${method.name} does not return pages of one list`);
  }
  // A token is valid only with the filters of the first page, and the caller may change its request meanwhile.
  const asked = copyOf(method.input, request) as MessageInitShape<I> & Record<string, unknown>;
  const { signal, timeoutMs, contextValues } = options;
  const headers = options.headers as HeadersInput;
  for (;;) {
    const answer = await transport.unary(method, signal, timeoutMs, headers, asked, contextValues);
    const page = answer.message as Record<string, unknown>;
    yield* page[items.localName] as ItemOf<MessageShape<O>>[];
    if (!page[next.localName]) {
      return;
    }
    Object.assign(asked, { [token.localName]: page[next.localName] });
  }
}

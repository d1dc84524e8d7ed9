import { Comment, Converter, OptionDefaults, ReflectionKind } from "typedoc";

// protoc-gen-es gives no comments to the parts of a oneof and of a method.
const PARTS = {
  case: "The name of the field that is set.",
  value: "The value of that field.",
  methodKind: "Which side of the call is a stream.",
  input: "The schema of the request.",
  output: "The schema of the response.",
};

/** @param {import("typedoc").Application} app */
function documentParts(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const part of project.getReflectionsByKind(ReflectionKind.Property)) {
      if (!part.hasComment() && part.parent?.kindOf(ReflectionKind.TypeLiteral) && part.name in PARTS) {
        part.comment = new Comment([{ kind: "text", text: PARTS[part.name] }]);
      }
    }
  });
}

/** @type {Partial<import("typedoc").TypeDocOptions>} */
export default {
  entryPoints: ["src/index.ts", "src/gen/index.ts"],
  out: "build/docs",
  name: "Client for the orchestration ledger",
  readme: "README.md",
  excludePrivate: true,
  excludeInternal: true,
  disableGit: true,
  sourceLinkTemplate: "{path}#{line}",
  plugin: [documentParts],
  // protoc-gen-es writes the name of the source with this tag.
  blockTags: [...OptionDefaults.blockTags, "@generated"],
  excludeTags: [...OptionDefaults.excludeTags, "@generated"],
  treatWarningsAsErrors: true,
  treatValidationWarningsAsErrors: true,
  validation: { notExported: true, invalidLink: true, notDocumented: true },
  requiredToBeDocumented: [
    "Enum",
    "EnumMember",
    "Variable",
    "Function",
    "Class",
    "Interface",
    "Property",
    "Method",
    "Accessor",
    "TypeAlias",
  ],
};

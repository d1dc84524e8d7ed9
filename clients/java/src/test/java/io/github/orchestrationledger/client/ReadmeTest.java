package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.StringWriter;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The programs of the README compile. `make package` also runs the first one. */
class ReadmeTest {
  private static final Pattern BLOCK = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);

  private static String wrapped(String fragment) {
    return """
    import io.github.orchestrationledger.client.*;
    import io.github.orchestrationledger.v1.*;
    class Fragment {
      static void store(String cursor) {}
      static void run(LedgerClient ledger, UpdateTaskStatusRequest change, String stored) {
    """
        + fragment
        + "  }\n}\n";
  }

  @Test
  void itsProgramsCompile(@TempDir Path directory) throws IOException {
    String readme = Files.readString(Path.of("README.md"));
    List<String> blocks = BLOCK.matcher(readme).results().map(found -> found.group(1)).toList();
    assertTrue(blocks.size() > 2);
    for (int i = 0; i < blocks.size(); i++) {
      String name = i == 0 ? "FirstCall" : "Fragment";
      assertCompiles(directory, name, i == 0 ? blocks.get(i) : wrapped(blocks.get(i)));
    }
  }

  private static void assertCompiles(Path directory, String name, String source) {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter errors = new StringWriter();
    JavaFileObject file =
        new SimpleJavaFileObject(
            URI.create("string:///" + name + ".java"), JavaFileObject.Kind.SOURCE) {
          @Override
          public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return source;
          }
        };
    String classpath =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    List<String> options = List.of("-proc:none", "-d", directory.toString(), "-cp", classpath);
    boolean compiled = compiler.getTask(errors, null, null, options, null, List.of(file)).call();
    assertTrue(compiled, () -> errors + source);
  }
}

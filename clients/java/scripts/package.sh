#!/usr/bin/env bash
# Build the package into a local Maven repository, import it into an empty project, and run the README's first call
# against the ledger at ORCHESTRATION_ADDRESS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mvn="mvn -B -q -ntp -Dstyle.color=never"
version=$(sed -n 's:^  <version>\(.*\)</version>:\1:p' pom.xml)
repository=$PWD/build/repository

# The versions of the plugins are those of pom.xml.
plugin() {
  echo "        <plugin><artifactId>$1</artifactId>"
  grep -A1 "<artifactId>$1</artifactId>" pom.xml | sed -n 's:^ *\(<version>.*\):        \1</plugin>:p'
}

rm -rf "$repository"
$mvn package source:jar-no-fork deploy -DskipTests -DaltDeploymentRepository="local::file:$repository"

project=$(mktemp -d)
trap 'rm -rf "$project"' EXIT
mkdir -p "$project/src/main/java"
# The first block of Java of the README, as it is.
awk '/^```java$/ { inside = 1; next } /^```$/ && inside { exit } inside' README.md > "$project/src/main/java/FirstCall.java"
cat > "$project/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>example</groupId>
  <artifactId>empty</artifactId>
  <version>1</version>
  <properties>
    <maven.compiler.release>17</maven.compiler.release>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <repositories>
    <repository>
      <id>local</id>
      <url>file:$repository</url>
    </repository>
  </repositories>
  <dependencies>
    <dependency>
      <groupId>io.github.orchestration-ledger</groupId>
      <artifactId>orchestration-client</artifactId>
      <version>$version</version>
    </dependency>
  </dependencies>
  <build>
    <pluginManagement>
      <plugins>
$(for plugin in resources compiler dependency; do plugin "maven-$plugin-plugin"; done)
      </plugins>
    </pluginManagement>
  </build>
</project>
POM
# Maven keeps what it has once read of a version, and this version may have changed.
rm -rf "${HOME:?}/.m2/repository/io/github/orchestration-ledger/orchestration-client"
(cd "$project" && $mvn compile dependency:build-classpath -Dmdep.outputFile=classpath)
java -cp "$project/target/classes:$(cat "$project/classpath")" FirstCall

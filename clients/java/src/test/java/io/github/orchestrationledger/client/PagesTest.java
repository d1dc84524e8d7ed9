package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.orchestrationledger.v1.ListTasksRequest;
import io.github.orchestrationledger.v1.ListTasksResponse;
import io.github.orchestrationledger.v1.Task;
import io.grpc.Status;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PagesTest {
  private static final String LIST = "TaskService/ListTasks";
  private static final ListTasksRequest REQUEST =
      ListTasksRequest.newBuilder().setSprintCode("S1").setPageSize(2).build();

  private final FakeLedger ledger = new FakeLedger();
  private LedgerClient client;

  @BeforeEach
  void open() {
    client = ledger.client().build();
  }

  @AfterEach
  void close() {
    client.close();
    ledger.close();
  }

  private static ListTasksResponse page(String token, String... codes) {
    ListTasksResponse.Builder page = ListTasksResponse.newBuilder().setNextPageToken(token);
    for (String code : codes) {
      page.addTasks(Task.newBuilder().setCode(code));
    }
    return page.build();
  }

  private Stream<String> codes() {
    return client
        .pages(client.tasks()::listTasks, REQUEST, ListTasksResponse::getTasksList)
        .map(Task::getCode);
  }

  private void threePages() {
    ledger.on(
        LIST,
        call ->
            call.answer(
                switch (call.as(ListTasksRequest.class).getPageToken()) {
                  case "" -> page("2", "a", "b");
                  case "2" -> page("3");
                  default -> page("", "c");
                }));
  }

  @Test
  void theItemsOfAllPagesComeInOrder() {
    threePages();
    assertEquals(List.of("a", "b", "c"), codes().toList());
    for (FakeLedger.Call call : ledger.calls(LIST)) {
      assertEquals(REQUEST, call.as(ListTasksRequest.class).toBuilder().clearPageToken().build());
    }
  }

  @Test
  void aPageIsReadWhenItIsNeeded() {
    threePages();
    assertEquals(List.of("a", "b"), codes().limit(2).toList());
    assertEquals(1, ledger.calls(LIST).size());
  }

  @Test
  void anErrorOfALaterPageIsTyped() {
    ledger.on(
        LIST,
        call -> {
          if (call.as(ListTasksRequest.class).getPageToken().isEmpty()) {
            call.answer(page("2", "a"));
          } else {
            call.fail(Status.Code.INVALID_ARGUMENT);
          }
        });
    LedgerException error = assertThrows(LedgerException.class, () -> codes().toList());
    assertEquals(Status.Code.INVALID_ARGUMENT, error.code());
  }
}

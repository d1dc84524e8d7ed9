package io.github.orchestrationledger.driver;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.github.orchestrationledger.v1.AdminServiceGrpc;
import io.github.orchestrationledger.v1.ContextServiceGrpc;
import io.github.orchestrationledger.v1.CoordinationServiceGrpc;
import io.github.orchestrationledger.v1.EventServiceGrpc;
import io.github.orchestrationledger.v1.ReportServiceGrpc;
import io.github.orchestrationledger.v1.ScheduleServiceGrpc;
import io.github.orchestrationledger.v1.SessionServiceGrpc;
import io.github.orchestrationledger.v1.SprintServiceGrpc;
import io.github.orchestrationledger.v1.TaskServiceGrpc;
import io.github.orchestrationledger.v1.TemplateServiceGrpc;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.PrototypeMarshaller;
import io.grpc.ServiceDescriptor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The methods of the ledger by their names, such as TaskService/GetTask. */
final class Methods {
  private static final Map<String, MethodDescriptor<?, ?>> BY_NAME = new HashMap<>();

  static {
    List<ServiceDescriptor> services =
        List.of(
            SprintServiceGrpc.getServiceDescriptor(),
            TaskServiceGrpc.getServiceDescriptor(),
            EventServiceGrpc.getServiceDescriptor(),
            SessionServiceGrpc.getServiceDescriptor(),
            ContextServiceGrpc.getServiceDescriptor(),
            CoordinationServiceGrpc.getServiceDescriptor(),
            TemplateServiceGrpc.getServiceDescriptor(),
            ScheduleServiceGrpc.getServiceDescriptor(),
            ReportServiceGrpc.getServiceDescriptor(),
            AdminServiceGrpc.getServiceDescriptor());
    for (ServiceDescriptor service : services) {
      for (MethodDescriptor<?, ?> method : service.getMethods()) {
        String name = method.getFullMethodName();
        BY_NAME.put(name.substring(name.lastIndexOf('.') + 1), method);
      }
    }
  }

  private Methods() {}

  /** Return the method of a name. All requests and responses of the ledger are messages. */
  @SuppressWarnings("unchecked")
  static MethodDescriptor<Message, Message> find(String name) {
    MethodDescriptor<?, ?> found = BY_NAME.get(name);
    if (found == null) {
      throw new IllegalArgumentException("no method is called " + name);
    }
    return (MethodDescriptor<Message, Message>) found;
  }

  /** Return an empty request of a method. */
  static Message.Builder request(MethodDescriptor<Message, Message> method) {
    PrototypeMarshaller<Message> marshaller =
        (PrototypeMarshaller<Message>) method.getRequestMarshaller();
    return marshaller.getMessagePrototype().newBuilderForType();
  }

  /** Return the items of a page: those of its one repeated field of messages. */
  @SuppressWarnings("unchecked")
  static List<Message> items(Message page) {
    List<FieldDescriptor> lists =
        page.getDescriptorForType().getFields().stream()
            .filter(
                field ->
                    field.isRepeated() && field.getJavaType() == FieldDescriptor.JavaType.MESSAGE)
            .toList();
    if (lists.size() != 1) {
      throw new IllegalArgumentException(
          page.getDescriptorForType().getName() + " has " + lists.size() + " lists of messages");
    }
    return (List<Message>) page.getField(lists.get(0));
  }
}

package io.github.orchestrationledger.client;

/**
 * What an agent does with a claimed task.
 *
 * @param <X> the checked exception that it may throw
 */
@FunctionalInterface
public interface WorkBody<X extends Exception> {
  /**
   * Do the work.
   *
   * @param work the claimed task
   * @throws X if the work fails
   */
  void run(Work work) throws X;
}
